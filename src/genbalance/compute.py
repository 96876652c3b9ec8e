"""Where the arithmetic runs, made to give the same bytes each time, and the random generators of torch."""

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from genbalance.data.pixels import Pixels
from genbalance.errors import UserError
from genbalance.params import Compute
from genbalance.rng import stream_seed

M = TypeVar("M", bound=nn.Module)


def set_up(compute: Compute, seed: int, stage: str) -> torch.device:
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
    # on top of that torch would fill each new tensor, in case that somebody reads it before it is written
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
