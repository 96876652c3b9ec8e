"""A network applied to many images in blocks."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 500  # images at a time: bounds the memory, and a fixed size keeps the bytes


def in_blocks(function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    """``function`` over ``inputs`` [n, …] block by block, without gradients; the results on the CPU, joined.

    An input that is None is left out: the labels of a model that takes none.
    """
    with torch.inference_mode():
        blocks = zip(*(given.split(BLOCK) for given in inputs if given is not None), strict=True)
        return torch.cat([function(*block).cpu() for block in blocks])
