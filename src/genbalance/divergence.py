"""A training that has diverged ends at that step."""

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from genbalance.errors import UserError

LOOK = 20  # steps from one look to the next on a GPU, where each look waits for the device


def until_diverged(steps: Iterable[Mapping[str, Tensor]], epoch: int, advice: str) -> Iterator[Mapping[str, Tensor]]:
    """The steps of an epoch as they come, as long as all their scalars are finite.

    On the CPU each step is looked at before it is handed on; on a GPU up to 20 together, at the latest where the epoch
    ends, and it is still the first bad one that is told.

    Args:
        steps: scalars by name, 0-dimensional.
        epoch: its number.
        advice: what to try instead.

    Raises:
        UserError: one is NaN or infinite; the text names epoch, step and term, the step's other terms, and ``advice``.
    """
    waiting: list[tuple[int, Mapping[str, Tensor]]] = []
    for number, scalars in enumerate(steps, start=1):
        waiting.append((number, scalars))
        if len(waiting) == LOOK or not any(value.is_cuda for value in scalars.values()):
            _check(waiting, epoch, advice)
            waiting.clear()
        yield scalars
    _check(waiting, epoch, advice)


def _check(waiting: list[tuple[int, Mapping[str, Tensor]]], epoch: int, advice: str) -> None:
    values = [value for _, scalars in waiting for value in scalars.values()]
    if not values or all(map(math.isfinite, torch.stack(values).tolist())):  # one wait for all of them
        return
    for number, scalars in waiting:
        told = {name: float(value) for name, value in scalars.items()}
        for name, value in told.items():
            if not math.isfinite(value):
                others = ", ".join(f"{other} {told[other]:.6g}" for other in told if other != name)
                raise UserError(
                    f"epoch {epoch}, step {number}: {name} is {value} ({others}): the training has diverged; "
                    f"try {advice}"
                )
