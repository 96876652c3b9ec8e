"""How much arithmetic a training step is, and how much the machine can do: multiply and add count as two."""

import statistics
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import Case
from benchmarks.in_process import train
from benchmarks.pairs import seconds
from genbalance import training
from genbalance.data.prepared import Prepared
from genbalance.params import Params

SIDES = (512, 1024, 2048)  # of the matrices
REPEATS = 5


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


def flops_an_image(case: Case, params: Params, digits: Prepared) -> float:
    """Of the stage's own steps, forward and backward, over an epoch: the products of matrices and the convolutions,
    which are all that torch's counter counts."""
    counts: list[int] = []
    step = training.Phase.step

    def counted(phase: training.Phase, batch: Tensor) -> dict[str, Tensor]:
        with FlopCounterMode(display=False) as counter:
            scalars = step(phase, batch)
        counts.append(counter.get_total_flops())
        return scalars

    once = case.params(params, 1)
    with mock.patch.object(training.Phase, "step", counted):
        train(case.stage, once, digits, lambda _: None)
    return sum(counts) / training.seen(len(digits.train), getattr(once, case.section).batch_size)
