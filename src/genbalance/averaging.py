"""A moving average of weights that starts as a plain one."""

from collections.abc import Callable

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

Tensors = list[torch.Tensor] | tuple[torch.Tensor, ...]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, torch.Tensor | int], None]:
    """The update of an exponential moving average, for ``AveragedModel(multi_avg_fn=…)``.

    The n-th update weighs what is there by min(decay, n/(n + 1)): the plain mean of all weights so far, until the
    window of 1/(1 − decay) updates is full. With the constant decay alone, a short training would sample from the
    weights that it started with.
    """

    def update(averaged: Tensors, current: Tensors, updates: torch.Tensor | int) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(decay, n / (n + 1)))(averaged, current, updates)

    return update
