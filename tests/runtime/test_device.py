"""The device: set up, threads, random generators, precision."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data.pixels import SIGNED, UNIT
from genbalance.params import ComputeConfig
from genbalance.runtime import device
from genbalance.runtime.device import (
    download,
    generator,
    in_threads,
    initialised,
    lowered,
    set_up,
    upload,
    uploaded,
    uses_bf16,
)
from genbalance.runtime.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def process(monkeypatch):
    """What set_up changes for the whole process, put back afterwards."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    process_fills = torch.utils.deterministic.fill_uninitialized_memory
    state = torch.get_rng_state()
    yield monkeypatch
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_flush_denormal(False)
    torch.utils.deterministic.fill_uninitialized_memory = process_fills
    torch.set_rng_state(state)


def has_cuda(process, answer):
    process.setattr(torch.cuda, "is_available", lambda: answer)


def compute(precision="auto", device="auto"):
    given = {"device": device, "precision": precision}
    return ComputeConfig(threads=1, processes=1, bits="portable", **given)


def test_cuda_on_a_machine_without_it_is_refused(process):
    has_cuda(process, False)
    with pytest.raises(UserError, match=r"^compute\.device: found 'cuda'.*allowed: auto or cpu$"):
        set_up(compute(device="cuda"), 0, "stage")


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [("auto", False, "cpu"), ("cpu", False, "cpu"), ("cpu", True, "cpu")],
)
def test_the_device_is_what_was_asked_for(process, asked, available, expected):
    has_cuda(process, available)
    assert set_up(compute(device=asked), 0, "stage") == torch.device(expected)


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_a_gpu_is_taken_when_there_is_one(process, asked):
    has_cuda(process, True)
    process.setattr(torch, "manual_seed", lambda seed: None)  # would look for the GPU
    assert set_up(compute(device=asked), 0, "stage").type == "cuda"


def test_the_process_is_made_deterministic(process):
    has_cuda(process, False)
    set_up(compute(device="cpu"), 0, "stage")
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_what_draws_without_a_generator_is_seeded_by_seed_and_stage(process):
    has_cuda(process, False)

    def draws(seed, stage):
        set_up(compute(device="cpu"), seed, stage)
        return tuple(torch.rand(4).tolist())

    assert draws(0, "a") == draws(0, "a")
    assert len({draws(0, "a"), draws(1, "a"), draws(0, "b")}) == 3


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_their_arguments_whatever_the_threads(threads):
    torch.set_num_threads(threads)
    assert in_threads(lambda a, b: a - b, ((k, 2 * k) for k in range(100))) == [-k for k in range(100)]
    assert in_threads(abs, []) == []


def test_of_arguments_without_an_end_few_are_taken_before_an_error():
    taken = []

    def numbers():
        while True:
            taken.append(len(taken))
            yield (taken[-1],)

    with pytest.raises(ZeroDivisionError):
        in_threads(lambda k: 1 // (5 - k), numbers())
    assert len(taken) <= 8 * torch.get_num_threads()


def test_a_generator_is_its_seed_and_name():
    def draws(seed, name):
        return tuple(torch.rand(4, generator=generator(seed, name)).tolist())

    assert draws(0, "a") == draws(0, "a")
    assert len({draws(0, "a"), draws(1, "a"), draws(0, "b")}) == 3


def weights_of(seed=0, name="net", before=0):
    torch.rand(before)
    net = initialised(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(5, 6)), seed, name, CPU)
    return nn.utils.parameters_to_vector([p.contiguous() for p in net.parameters()]).detach()


def test_initial_weights_are_the_seeds_and_the_names_whatever_was_drawn_before():
    assert torch.equal(weights_of(), weights_of(before=17))
    assert not torch.equal(weights_of(), weights_of(seed=1))
    assert not torch.equal(weights_of(), weights_of(name="other"))


def test_initialising_leaves_the_global_stream_where_it_was():
    state = torch.get_rng_state()
    weights_of()
    assert torch.equal(torch.get_rng_state(), state)


def test_convolutions_are_laid_out_channels_last():
    net = initialised(lambda: nn.Conv2d(3, 4, 3), 0, "net", CPU)
    assert net.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("pixels", "ends"), [(UNIT, [0.0, 1.0]), (SIGNED, [-1.0, 1.0])])
def test_uploaded_images_are_one_float_tensor_in_the_networks_range(pixels, ends):
    images = np.array([[[0, 255], [128, 7]], [[1, 2], [3, 4]]], dtype=np.uint8)
    x = upload(images, pixels, CPU)
    assert x.shape == (2, 1, 2, 2)
    assert x.dtype == torch.float32
    assert x[0, 0, 0].tolist() == ends
    assert np.array_equal(pixels.to_uint8(x)[:, 0].numpy(), images)


CPU, GPU = torch.device("cpu"), torch.device("cuda")
NARROW, WIDE, CONVOLUTION = nn.Linear(512, 784), nn.Linear(1024, 1024), nn.Conv2d(1, 4, 3)


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


@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_come_back_from_a_network_s_range_as_they_were(channels):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 9, *channels), np.uint8)
    sent = upload(images, SIGNED, CPU)
    assert sent.shape == (7, len(channels) * 3 or 1, 5, 9)
    np.testing.assert_array_equal(download(sent, SIGNED), images)
    if channels:
        np.testing.assert_array_equal(sent[:, 1].numpy(), SIGNED.encode(images[..., 1]))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_too_large_as_floats_are_converted_when_they_are_asked_for(channels, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 9, *channels), np.uint8)
    whole = uploaded(images, SIGNED, CPU)
    assert isinstance(whole, torch.Tensor)
    monkeypatch.setattr(device, "MOST_BYTES", 4 * images.size - 1)
    parts = uploaded(images, SIGNED, CPU)
    assert not isinstance(parts, torch.Tensor)
    rows = torch.tensor([5, 0, 0, 6])
    assert torch.equal(parts[rows], whole[rows])
    assert torch.equal(parts[2:4], whole[2:4])
    assert [block.tolist() for block in parts.split(3)] == [block.tolist() for block in whole.split(3)]
    assert len(parts) == len(parts.split(1)) == 7
