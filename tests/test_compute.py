"""Threads, devices and torch's random streams."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.compute import generator, initialised, set_up, upload
from genbalance.data.pixels import SIGNED, UNIT
from genbalance.errors import UserError
from genbalance.params import Compute

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


def test_cuda_on_a_machine_without_it_is_refused(process):
    has_cuda(process, False)
    with pytest.raises(UserError, match=r"^compute\.device: found 'cuda'.*allowed: auto or cpu$"):
        set_up(Compute(device="cuda", threads=1, precision="fp32", bits="portable", compile=False), 0, "stage")


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [("auto", False, "cpu"), ("cpu", False, "cpu"), ("cpu", True, "cpu")],
)
def test_the_device_is_what_was_asked_for(process, asked, available, expected):
    has_cuda(process, available)
    assert set_up(
        Compute(device=asked, threads=1, precision="fp32", bits="portable", compile=False), 0, "stage"
    ) == torch.device(expected)


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_a_gpu_is_taken_when_there_is_one(process, asked):
    has_cuda(process, True)
    process.setattr(torch, "manual_seed", lambda seed: None)  # would look for the GPU
    assert (
        set_up(Compute(device=asked, threads=1, precision="fp32", bits="portable", compile=False), 0, "stage").type
        == "cuda"
    )


def test_the_process_is_made_deterministic(process):
    has_cuda(process, False)
    set_up(Compute(device="cpu", threads=1, precision="fp32", bits="portable", compile=False), 0, "stage")
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_what_draws_without_a_generator_is_seeded_by_seed_and_stage(process):
    has_cuda(process, False)

    def draws(seed, stage):
        set_up(Compute(device="cpu", threads=1, precision="fp32", bits="portable", compile=False), seed, stage)
        return tuple(torch.rand(4).tolist())

    assert draws(0, "a") == draws(0, "a")
    assert len({draws(0, "a"), draws(1, "a"), draws(0, "b")}) == 3


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
