"""How torch computes: the device, set up to give the same bytes each time, its random generators, the precision of
products and compilation."""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from genbalance.data.pixels import Pixels
from genbalance.params import ComputeConfig
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

M = TypeVar("M", bound=nn.Module)
P = ParamSpec("P")
R = TypeVar("R")

WIDE = 1000  # units from which a linear layer gains by bf16 products on a CPU that has instructions for them


def set_up(compute: ComputeConfig, seed: int, stage: str) -> torch.device:
    """Fixes threads and algorithms of the process, seeds what draws without a generator (dropout), names the device.

    Raises:
        UserError: ``compute.device`` is cuda on a machine without it.
    """
    has_cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not has_cuda:
        raise UserError("compute.device: found 'cuda', but torch sees no GPU here; allowed: auto or cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    torch.set_num_threads(compute.threads)
    # NumPy's own threads would follow the machine's cores, and its matrices here are too small to gain by them
    threadpool_limits(1, "blas")
    torch.use_deterministic_algorithms(True)
    # on top of that torch would fill each new tensor, which matters only where code reads one before it writes it
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # numbers below 1e-38, as Adam's averages come to hold, take a CPU many times as long
    torch.set_flush_denormal(True)
    torch.manual_seed(stream_seed(seed, f"{stage}/unnamed"))
    return torch.device("cuda" if has_cuda and compute.device != "cpu" else "cpu")


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The random stream ``name`` on ``device``."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


def initialised(build: Callable[[], M], seed: int, name: str, device: torch.device) -> M:
    """``build()`` with its weights drawn from the stream ``name``; channels last, which convolutions prefer."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, name))  # the CPU's alone, where modules are built
        module = build()
    return module.to(device).to(memory_format=torch.channels_last)


def upload(images: NDArray[np.uint8], pixels: Pixels, device: torch.device) -> Tensor:
    """uint8 images [n, S, S] as one float32 tensor [n, 1, S, S] on the device, in the range of ``pixels``: training
    slices it, so that no time goes into loading."""
    encoded: Tensor = pixels.encode(torch.from_numpy(images).to(device))
    return encoded[:, None]


def uses_bf16(compute: ComputeConfig, device: torch.device, *networks: nn.Module) -> bool:
    """Whether products are taken in bf16. ``auto`` asks the hardware's instructions and the networks, never a clock, so
    that one machine always answers the same: a GPU with bf16 products (compute capability 8), or a CPU with AMX whose
    networks have convolutions or wide layers."""
    if compute.precision != "auto":
        return compute.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False)) and any(map(_gains, networks))


def _gains(network: nn.Module) -> bool:
    return any(
        isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        or (isinstance(layer, nn.Linear) and min(layer.in_features, layer.out_features) >= WIDE)
        for layer in network.modules()
    )


def lowered(loss: Callable[P, R], bf16: bool, device: torch.device) -> Callable[P, R]:
    """``loss`` with its networks' products in bf16, if so; weights, optimizer and sums stay float32."""
    if not bf16:
        return loss

    def in_bf16(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast(device.type, torch.bfloat16):
            return loss(*args, **kwargs)

    return in_bf16


def compile_on_gpu(compute: ComputeConfig, device: torch.device, *networks: nn.Module) -> None:
    """Compiles each network in its place (torch.compile), where ``compute.compile`` says so.

    Raises:
        UserError: ``compute.compile`` is true and there is no GPU to compile for.
    """
    if not compute.compile:
        return
    if device.type != "cuda":
        raise UserError("compute.compile: found true, but this runs on the CPU; allowed there: false")
    for network in networks:
        network.compile()
