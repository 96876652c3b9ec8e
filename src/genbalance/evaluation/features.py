"""A network applied to many images in blocks."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 500  # images at a time: bounds the memory, and a fixed size keeps the bytes


def in_blocks(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """``function`` over ``inputs`` [n, …] block by block, without gradients; the results on the CPU, joined."""
    with torch.inference_mode():
        return torch.cat([function(block).cpu() for block in inputs.split(BLOCK)])
