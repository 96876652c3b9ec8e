"""The bytes of the trainings do not depend on the processor's newer instructions, nor on the environment."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_golden import first_losses, trainings
from torch.utils._python_dispatch import TorchDispatchMode

from genbalance.runtime import instructions
from genbalance.runtime.instructions import NEEDED, PINNED, pin, pinned

DEFAULT = ("vae, mlp", "gan, conditions", "gan, r1", "classifier")
# torch leaves these to MKL, which takes other approximations for each vendor
VENDORS_OWN = {"exp", "log", "log2", "log10", "sqrt", "erf", "erfc", "erfinv", "atan", "acos", "asin", "tan"}
HEADS = {1, 10}  # outputs of D and of the classifier: MKL's products of so few columns are each vendor's own, too
PROGRAM = f"""
from genbalance.runtime.instructions import pin
pin()
import sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
from test_instructions import digest
print(digest())
"""
ELSEWHERE = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
}


def digest():
    """Of the first steps of the default trainings, and of a product of NumPy's."""
    import numpy as np

    torch.set_num_threads(1)
    table = np.random.default_rng(0).normal(size=(200, 200))
    content = repr([first_losses(name) for name in DEFAULT]).encode() + (table @ table).tobytes()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A processor with the flags that are given, and an environment that is put back."""

    def of(flags):
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor\t: 0\n{flags}\n")
        monkeypatch.setattr(instructions, "CPUINFO", path)

    for name in (*PINNED, *instructions.ELSEWHERE):
        monkeypatch.setenv(name, "mine")
    return of


def test_the_environment_has_no_say(processor):
    processor("flags\t\t: fpu avx avx2 fma avx512f")
    assert not pinned()
    pin()
    assert pinned()
    assert {name: os.environ[name] for name in PINNED} == PINNED
    assert not set(instructions.ELSEWHERE) & os.environ.keys()


@pytest.mark.parametrize("flags", ["flags\t\t: fpu sse4_2 avx", "Features\t: fp asimd", ""])
def test_without_avx2_nothing_is_pinned(processor, flags):
    processor(flags)
    pin()
    assert not pinned()
    assert {os.environ[name] for name in (*PINNED, *instructions.ELSEWHERE)} == {"mine"}


def test_a_system_that_tells_nothing_pins_nothing(processor, monkeypatch, tmp_path):
    monkeypatch.setattr(instructions, "CPUINFO", tmp_path / "none")
    pin()
    assert not pinned()


@pytest.mark.skipif(not instructions._flags() >= NEEDED, reason="not an x86-64 processor with AVX2")
def test_settings_of_other_processors_change_no_byte():
    def run(**changes):
        environment = os.environ | changes
        return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True).stdout

    assert len({run(), run(**ELSEWHERE)}) == 1


class _Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names, self.sides = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.names.add(name.rstrip("_").removeprefix("_foreach_"))
        if name in ("mm", "addmm"):
            left, right = args[-2:]
            self.sides |= {left.shape[0], right.shape[1]}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", DEFAULT)
def test_a_loss_takes_nothing_from_mkl_that_each_vendor_has_of_its_own(name):
    with _Recorder() as recorder:
        for phase in trainings()[name]():
            scalars = phase.loss(torch.arange(32))
            torch.autograd.backward(scalars[phase.objective], inputs=phase.parameters)
    assert recorder.names >= {"add", "mul"}
    assert not recorder.names & (VENDORS_OWN | {"bmm", "baddbmm", "mv", "addmv", "dot"})
    assert not recorder.sides & HEADS
