"""Half precision and compilation: who chooses them, and that they change the arithmetic alone."""

import pytest
import torch
from torch import nn

from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
from genbalance.errors import UserError
from genbalance.params import Compute

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NARROW, WIDE, CONVOLUTION = nn.Linear(512, 784), nn.Linear(1024, 1024), nn.Conv2d(1, 4, 3)


def compute(precision="auto", compile=False):
    return Compute(device="auto", threads=1, precision=precision, bits="portable", compile=compile)


@pytest.mark.parametrize("network", [NARROW, WIDE, CONVOLUTION])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_precision_that_is_asked_for_is_taken_whatever_the_hardware(device, network):
    assert uses_bf16(compute("bf16"), device, network)
    assert not uses_bf16(compute("fp32"), device, network)


@pytest.mark.parametrize(
    ("amx", "network", "bf16"),
    [(False, CONVOLUTION, False), (True, NARROW, False), (True, WIDE, True), (True, CONVOLUTION, True)],
)
def test_auto_on_a_cpu_asks_its_instructions_and_the_network(amx, network, bf16, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    assert uses_bf16(compute(), CPU, nn.Sequential(nn.Identity(), network)) is bf16
    assert uses_bf16(compute(), CPU, NARROW, network) is bf16


def test_auto_on_a_cpu_of_which_nothing_is_known_is_fp32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert not uses_bf16(compute(), CPU, CONVOLUTION)


@pytest.mark.parametrize(("capability", "bf16"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_on_a_gpu_asks_its_capability(capability, bf16, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert uses_bf16(compute(), GPU, NARROW) is bf16


def test_in_bf16_the_products_are_rounded_and_weights_and_gradients_are_float32():
    x = torch.randn(64, 512, generator=torch.Generator().manual_seed(0))

    def loss():
        return NARROW(x)

    exact, rounded = loss(), lowered(loss, True, CPU)()
    assert rounded.dtype == torch.bfloat16
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()
    rounded.float().square().mean().backward()
    assert NARROW.weight.grad.dtype == NARROW.weight.dtype == torch.float32
    assert lowered(loss, False, CPU) is loss


def test_compilation_is_refused_without_a_gpu_and_never_unasked():
    with pytest.raises(UserError, match=r"^compute\.compile: found true.*allowed there: false$"):
        compile_on_gpu(compute(compile=True), CPU, NARROW)
    compile_on_gpu(compute(), CPU, NARROW)
    assert NARROW._compiled_call_impl is None


def test_each_network_is_compiled_in_its_place(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    compile_on_gpu(compute(compile=True), GPU, NARROW, WIDE)
    assert compiled == [NARROW, WIDE]
