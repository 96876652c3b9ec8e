"""How torch computes: the device, set up to give the same bytes each time, its random generators, the precision of
products."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, ParamSpec, Protocol, TypeVar

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

MOST_BYTES = 4 * 2**30  # of images as float32
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
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms loads torch's compiler too, for seconds
    # on top of that torch would fill each new tensor, which matters only where code reads one before it writes it
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # on a GPU, torch would take TF32 for convolutions, which keeps ten bits of each factor
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    # numbers below 1e-38, as Adam's averages come to hold, take a CPU many times as long
    torch.set_flush_denormal(True)
    torch.manual_seed(stream_seed(seed, f"{stage}/unnamed"))
    return torch.device("cuda" if has_cuda and compute.device != "cpu" else "cpu")


def in_threads(function: Callable[..., R], arguments: Iterable[Iterable[Any]]) -> list[R]:
    """``function(*each)`` for each of the ``arguments``, in their order, on as many threads as torch has: for NumPy's
    products, which have one thread each (:func:`set_up`). A few of the arguments at a time are in memory."""
    threads, waiting = torch.get_num_threads(), iter(arguments)
    with ThreadPoolExecutor(threads) as pool:
        taken = iter(lambda: list(islice(waiting, 8 * threads)), [])
        return [found for some in taken for found in pool.map(lambda each: function(*each), some)]


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The random stream ``name`` on ``device``."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, name))


def initialised(build: Callable[[], M], seed: int, name: str, device: torch.device) -> M:
    """``build()`` with its weights drawn from the stream ``name``; channels last, which convolutions prefer."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, name))  # the CPU's alone, where modules are built
        module = build()
    return module.to(device).to(memory_format=torch.channels_last)


class Uploaded(Protocol):
    """Images [n, C, H, W] as networks take them: a tensor, or what is converted when it is asked for."""

    def __len__(self) -> int:
        """n."""

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Some of them."""

    def split(self, size: int) -> Sequence[Tensor]:
        """All of them, so many at a time."""


def upload(images: NDArray[np.uint8], pixels: Pixels, device: torch.device) -> Tensor:
    """uint8 images [n, H, W] or [n, H, W, 3] as one float32 tensor [n, C, H, W] on the device, in the range of
    ``pixels``."""
    encoded: Tensor = pixels.encode(torch.from_numpy(images).to(device))
    return encoded[:, None] if encoded.dim() == 3 else encoded.permute(0, 3, 1, 2)


def uploaded(images: NDArray[np.uint8], pixels: Pixels, device: torch.device) -> Uploaded:
    """Images to train on or to measure: all of them by `upload`, so that no time goes into loading, or, where they
    would take more than MOST_BYTES, as bytes wherever they lie, a part of which is uploaded when it is asked for."""
    return upload(images, pixels, device) if 4 * images.size <= MOST_BYTES else _OnTheFly(images, pixels, device)


@dataclass(frozen=True)
class _OnTheFly:
    images: NDArray[np.uint8]
    pixels: Pixels
    device: torch.device

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        chosen = rows if isinstance(rows, slice) else rows.cpu().numpy()
        return upload(np.ascontiguousarray(self.images[chosen]), self.pixels, self.device)

    def split(self, size: int) -> Sequence[Tensor]:
        return _Blocks(self, size)


@dataclass(frozen=True)
class _Blocks(Sequence[Tensor]):
    whole: _OnTheFly
    size: int

    def __len__(self) -> int:
        return -(-len(self.whole) // self.size)

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self.whole[place * self.size : (place + 1) * self.size]


def download(outputs: Tensor, pixels: Pixels) -> NDArray[np.uint8]:
    """A network's outputs [n, C, H, W], in the range of ``pixels``, as images [n, H, W] or [n, H, W, 3]: the inverse of
    `upload`."""
    images: NDArray[np.uint8] = channels_last(pixels.to_uint8(outputs)).numpy()
    return images


def channels_last(images: Tensor) -> Tensor:
    """Images [n, C, H, W] as NumPy has them, [n, H, W] or [n, H, W, 3], on the CPU."""
    images = images.cpu()
    return images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1).contiguous()


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
