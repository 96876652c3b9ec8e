"""Exponential and logarithm with the same bits on every x86-64 processor. torch takes its own from MKL, which takes
another approximation for each vendor."""

import math

import torch
from torch import Tensor

LOG2_E = math.log2(math.e)


def exp(x: Tensor) -> Tensor:
    """eˣ; in float32 with a relative error of about |x|·10⁻⁷."""
    return torch.exp2(x * LOG2_E)


def log(x: Tensor) -> Tensor:
    """ln x of x > 0."""
    return torch.xlogy(torch.ones((), dtype=x.dtype, device=x.device), x)
