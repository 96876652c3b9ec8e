"""One number, or a few, made by us and by a library from the same features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import features
from benchmarks.references import Numbers, References
from genbalance.evaluation.frechet import frechet_distance
from genbalance.evaluation.kid import kernel_distance
from genbalance.evaluation.prdc import prdc
from genbalance.params import EvaluateConfig
from genbalance.runtime.rng import stream_seed

SEEDS = 2**32  # what a RandomState takes


class Permutations:
    """Draws subsets as torchmetrics does: the first of a permutation, from torch's global generator."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)

    def choice(self, n: int, size: int, replace: bool) -> NDArray[np.int64]:
        """``size`` of n, in numpy's words."""
        assert not replace
        rows: NDArray[np.int64] = torch.randperm(n)[:size].numpy()
        return rows


@dataclass(frozen=True)
class Match:
    """One number, or several, made by us and by a library.

    ``same`` is ours with the library's own random subsets, for metrics that draw some; its numbers are compared.
    """

    name: str
    library: str
    ours: Callable[[], Numbers]
    theirs: Callable[[], Numbers]
    same: Callable[[], Numbers] | None = None

    def difference(self) -> float:
        """The largest between the numbers, relative to the library's."""
        ours, theirs = (self.same or self.ours)(), self.theirs()
        return float((np.abs(ours - theirs) / np.abs(theirs)).max())


def matches(n: int, config: EvaluateConfig, seed: int, dtype: type[np.floating] = np.float32) -> list[Match]:
    """Every pair of ways to one number, on n samples against n real images."""
    generated = features.reading(n, seed, "generated", features.GENERATED).features.astype(dtype)
    real = features.reading(n, seed, "test").features.astype(dtype)
    chance = stream_seed(seed, "bench/subsets") % SEEDS
    size = min(config.kid_subset_size, n // 2)
    library = References(generated, real, config.kid_subsets, size, config.neighbours, chance)

    def frechet() -> Numbers:
        return np.array([frechet_distance(generated, real)])

    def kernel(rng: Any = None) -> Numbers:
        drawn = rng or np.random.default_rng(chance)
        return np.array([kernel_distance(generated, real, config.kid_subsets, size, drawn).mean])

    def kernel_of_permutations() -> Numbers:
        drawn: Any = Permutations(chance)  # torchmetrics draws of the real images first; the distance is symmetric
        return np.array([kernel_distance(real, generated, config.kid_subsets, size, drawn).mean])

    def held(*names: str) -> Callable[[], Numbers]:
        def means() -> Numbers:
            found = prdc(real, generated, config.neighbours)
            return np.array([getattr(found, name).mean() for name in names])

        return means

    return [
        Match("Fréchet distance", "torch-fidelity", frechet, library.frechet_by_torch_fidelity),
        Match("Fréchet distance", "torchmetrics", frechet, library.frechet_by_torchmetrics),
        Match(
            "KID",
            "torch-fidelity",
            kernel,
            library.kernel_by_torch_fidelity,
            lambda: kernel(np.random.RandomState(chance)),
        ),
        Match("KID", "torchmetrics", kernel, library.kernel_by_torchmetrics, kernel_of_permutations),
        Match(
            "precision, recall",
            "torch-fidelity",
            held("precision", "recall"),
            library.precision_and_recall_by_torch_fidelity,
        ),
        Match(
            "… density, coverage",
            "prdc",
            held("precision", "recall", "density", "coverage"),
            library.manifolds_by_prdc,
        ),
    ]
