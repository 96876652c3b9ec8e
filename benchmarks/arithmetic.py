"""How much arithmetic a training step is, and how much the machine can do: multiply and add count as two."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmarks.cases import Case
from benchmarks.in_process import train
from benchmarks.pairs import seconds
from genbalance.data.prepared import Prepared
from genbalance.params import Params
from genbalance.training import loop

SIDES = (512, 1024, 2048)  # of the matrices
REPEATS = 5
STEPS = 20  # times that a step's products are repeated


def matrix_peak(device: torch.device, sides: tuple[int, ...] = SIDES, repeats: int = REPEATS) -> float:
    """FLOP/s of a product of square float32 matrices: the best of ``sides``, each the median of ``repeats``."""
    found = []
    for side in sides:
        a, b, product = (torch.rand(side, side, device=device) for _ in range(3))
        times = (max(sides) // side) ** 3  # as much work for each side

        def work(a: Tensor = a, b: Tensor = b, product: Tensor = product, times: int = times) -> None:
            for _ in range(times):
                torch.mm(a, b, out=product)

        work()
        found.append(2 * side**3 * times / statistics.median(seconds(work) for _ in range(repeats)))
    return max(found)


@dataclass(frozen=True)
class Arithmetic:
    """Of a stage's own steps, forward and backward: the products of matrices and the convolutions, which are all that
    torch's counter counts.

    ``flops`` an image. ``alone``: seconds an image that these take by themselves, on the same operands, which no other
    work has driven out of the caches: less time than that the step cannot take.
    """

    flops: float
    alone: float


def arithmetic(case: Case, params: Params, dataset: Prepared, repeats: int = STEPS) -> Arithmetic:
    """Counts over an epoch; the first step of each phase is taken down and then repeated by itself."""
    flops: list[float] = []
    alone: dict[str, float] = {}  # seconds of a phase's products
    turns: list[float] = []
    step = loop.Phase.step

    def counted(phase: loop.Phase, batch: Tensor) -> dict[str, Tensor]:
        with FlopCounterMode(display=False) as counter, _Products() as products:
            scalars = step(phase, batch)
        flops.append(counter.get_total_flops())
        if phase.name not in alone:
            alone[phase.name] = products.seconds(repeats)
        turns.append(alone[phase.name])
        return scalars

    once = case.params(params, 1)
    with mock.patch.object(loop.Phase, "step", counted):
        train(case.stage, once, dataset, lambda _: None)
    images = loop.seen(len(dataset.train), getattr(once, case.section).batch_size)
    return Arithmetic(sum(flops) / images, sum(turns) / images)


class _Products(TorchDispatchMode):
    """Takes down the calls that torch's counter counts, with their operands, as they are made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[Callable[[], object]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in flop_registry:
            self._calls.append(partial(func, *args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))

    @torch.no_grad()
    def seconds(self, repeats: int) -> float:
        """Of all of them once more, one after the other: the median of so many repeats, after one that warms up."""

        def work() -> None:
            for call in self._calls:
                call()

        work()
        return statistics.median(seconds(work) for _ in range(repeats))
