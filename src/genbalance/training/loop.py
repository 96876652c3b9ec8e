"""The training loop: batches, phases and steps. It knows no model, tracker or file."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from genbalance.runtime.errors import UserError
from genbalance.training.alarms import DivergedError
from genbalance.training.shares import share_of

CHECK_EVERY = 20  # steps between two checks for NaN on a GPU, where each check waits for the device

Scalars = Mapping[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """A module, its optimizer and a loss: one update a step.

    ``loss`` maps a batch to named scalars; the one named ``objective`` is minimised, all of them are yielded. A phase
    with ``every`` = n takes part in each n-th step only.
    """

    name: str
    module: nn.Module
    optimizer: Optimizer
    objective: str
    loss: Callable[[Tensor], Scalars]
    every: int = 1
    parameters: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", list(self.module.parameters()))

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """One update. Yields the loss's scalars, detached, and the norm of the gradient."""
        with share_of(batch) as share:
            scalars = self.loss(share.rows)
        self.optimizer.zero_grad(set_to_none=True)
        # gradients for this phase's module alone: the generator's loss runs through D and leaves D's gradients be
        torch.autograd.backward(scalars[self.objective], share.weight, inputs=self.parameters)
        scalars = share.gathered(scalars, self.parameters)
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        self.optimizer.step()
        return {name: value.detach() for name, value in scalars.items()} | {f"grad_norm_{self.name}": norm}


class LossModule(nn.Module):
    """A loss as a module with the network in it that the loss calls, whose weights can then be others.

    Args:
        network: see above.
        loss: gives named scalars.
    """

    def __init__(self, network: nn.Module, loss: Callable[..., Scalars]) -> None:
        super().__init__()
        self.network, self._loss = network, loss

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The scalars."""
        return dict(self._loss(*inputs))

    @staticmethod
    def named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the network as this module calls them."""
        return {f"network.{name}": value for name, value in weights.items()}


def batches(count: int, size: int, order: torch.Generator, labels: NDArray[np.int64] | None = None) -> Iterator[Tensor]:
    """Index vectors [size] that pass over ``count`` images once in random order, without the odd remainder.

    With ``labels`` [count] they are as many vectors, of images drawn with replacement by the inverse share of their
    class: each class that has images is equally likely, and so is each of its images.
    """
    if labels is not None:
        yield from _rebalanced(labels, size, order)
        return
    permutation = torch.randperm(count, generator=order, device=order.device)
    for start in range(0, count - size + 1, size):
        yield permutation[start : start + size]


def _rebalanced(labels: NDArray[np.int64], size: int, order: torch.Generator) -> Iterator[Tensor]:
    sizes = np.unique(labels, return_counts=True)[1]
    of_classes = labels.argsort(kind="stable"), sizes, sizes.cumsum() - sizes
    by_class, counts, starts = (torch.from_numpy(each).to(order.device) for each in of_classes)
    for _ in range(len(labels) // size):
        drawn = torch.randint(len(counts), (size,), generator=order, device=order.device)
        uniform = torch.rand(size, generator=order, device=order.device, dtype=torch.float64)
        yield by_class[starts[drawn] + (uniform * counts[drawn]).long()]


def inverse_shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of images with ``labels`` [n] the weights [n] with which each class weighs the same; their mean is 1."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = len(labels) / (len(counts) * counts[places])
    return weights


def seen(count: int, size: int) -> int:
    """How many of ``count`` images an epoch in batches of ``size`` sees."""
    return count // size * size


def steps(phases: Sequence[Phase], indices: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
    """For each batch of image indices an update of each phase whose turn it is; yields their scalars (0-dimensional,
    on the device: reading one waits for it)."""
    for number, batch in enumerate(indices, start=1):
        scalars: dict[str, Tensor] = {}
        for phase in phases:
            if number % phase.every == 0:
                scalars |= phase.step(batch)
        yield scalars


def linear_fall(steps: int, share: float) -> Callable[[int], float]:
    """The factor on a step size after so many of ``steps``: 1, and over their last ``share`` linearly down to 0."""
    return lambda done: min(1.0, (1 - done / steps) / share) if share > 0 else 1.0


def check_classes(key: str, needs_classes: bool, classes: int) -> None:
    """Refuses what needs classes, such as a model that is conditioned on them, where there are no two.

    Raises:
        UserError: it is so.
    """
    if needs_classes and classes < 2:
        raise UserError(
            f"{key}: found true, but the images have {'one class' if classes else 'no labels'}; allowed: false"
        )


def check_turns(key: str, every: int, steps: int) -> None:
    """Refuses a phase that would not have its turn in each epoch.

    Raises:
        UserError: naming ``key``.
    """
    if every > steps:
        raise UserError(f"{key}: found {every}, but an epoch has {steps} steps; allowed: at most {steps}")


def check_batch_size(key: str, size: int, count: int) -> None:
    """Refuses a batch that is larger than the training split.

    Raises:
        UserError: naming ``key``.
    """
    if size > count:
        raise UserError(f"{key}: found {size}, but the training split has {count} images; allowed: at most {count}")


def nan_guard(steps: Iterable[Mapping[str, Tensor]], epoch: int, advice: str) -> Iterator[Mapping[str, Tensor]]:
    """The steps of an epoch as they come, as long as all their scalars are finite.

    On the CPU each step is checked before it is yielded; on a GPU up to 20 together, at the latest where the epoch
    ends, and the first bad one is named.

    Args:
        steps: scalars by name, 0-dimensional.
        epoch: its number.
        advice: what to try instead.

    Raises:
        DivergedError: one is NaN or infinite; the text names epoch, step and term, the step's other terms, and
            ``advice``.
    """
    unchecked: list[tuple[int, Mapping[str, Tensor]]] = []
    for number, scalars in enumerate(steps, start=1):
        unchecked.append((number, scalars))
        if len(unchecked) == CHECK_EVERY or not any(value.is_cuda for value in scalars.values()):
            _check(unchecked, epoch, advice)
            unchecked.clear()
        yield scalars
    _check(unchecked, epoch, advice)


def _check(unchecked: list[tuple[int, Mapping[str, Tensor]]], epoch: int, advice: str) -> None:
    values = [value for _, scalars in unchecked for value in scalars.values()]
    if not values or all(map(math.isfinite, torch.stack(values).tolist())):  # waits once
        return
    for number, scalars in unchecked:
        numbers = {name: float(value) for name, value in scalars.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                others = ", ".join(f"{other} {numbers[other]:.6g}" for other in numbers if other != name)
                raise DivergedError(
                    f"epoch {epoch}, step {number}: {name} is {value} ({others}): the training has diverged; "
                    f"try {advice}"
                )
