"""The bytes of the trainings do not depend on the processor's newer instructions, nor on the environment."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_golden import first_losses, trainings
from vendors import HEADS, VENDORS_OWN, Recorder

from genbalance.models.vae import Vae
from genbalance.runtime import instructions
from genbalance.runtime.device import generator, initialised
from genbalance.runtime.instructions import NEEDED, PINNED, pin, pinned

CPU = torch.device("cpu")
DEFAULT = ("vae, mlp", "gan, conditions", "gan, r1", "classifier")
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


@pytest.mark.parametrize("name", DEFAULT)
def test_a_loss_takes_nothing_from_mkl_that_each_vendor_has_of_its_own(name):
    with Recorder() as recorder:
        for phase in trainings()[name]():
            scalars = phase.loss(torch.arange(32))
            torch.autograd.backward(scalars[phase.objective], inputs=phase.parameters)
    assert recorder.names >= {"add", "mul"}
    assert not recorder.names & VENDORS_OWN
    assert not recorder.sides & HEADS


def test_samples_of_the_default_vae_take_nothing_of_that_kind_in_float32_either():
    model = initialised(lambda: Vae("conv", "bernoulli", [1, 28, 28], 40, 64, -6.0, "mixture"), 0, "vae", CPU)
    noise = model.noise(32, generator(0, "noise"))
    with torch.no_grad(), Recorder() as recorder:
        model.log_prior(noise)
        assert model.sample(noise).shape == (32, 1, 28, 28)
    assert recorder.of_float32 >= {"add", "mul", "convolution"}
    assert not recorder.of_float32 & VENDORS_OWN
