"""A set of feature vectors held against the test images' by every metric that compares two sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.distances import (
    Features,
    KernelDistance,
    frechet_distance,
    frechet_infinity,
    kernel_distance,
)
from genbalance.evaluation.manifolds import manifolds
from genbalance.evaluation.two_sample import nearest_neighbour_test
from genbalance.params import Evaluate
from genbalance.rng import stream_seed


@dataclass(frozen=True)
class Against:
    """Distances, and under ``each`` the metrics that are means, with the value of each image [n]."""

    fd: float
    fd_infinity: float
    kid: KernelDistance
    each: dict[str, NDArray[np.float64]]

    @property
    def shares(self) -> dict[str, float]:
        """The means: precision, recall, density, coverage, nn_accuracy."""
        return {name: float(values.mean()) for name, values in self.each.items()}


def hold_against(features: Features, test: Features, knobs: Evaluate, seed: int) -> Against:
    """``features`` against ``test``, both [n, d]; the same subsets each time, so that only the images differ."""
    subsets, extrapolation = (np.random.default_rng(stream_seed(seed, f"evaluate/{name}")) for name in ("kid", "fd"))
    # at n images no more neighbours than n − 1
    near = manifolds(test, features, min(knobs.neighbours, len(test) - 1))
    told_apart = nearest_neighbour_test(test, features)
    return Against(
        fd=frechet_distance(features, test),
        fd_infinity=frechet_infinity(features, test, extrapolation),
        kid=kernel_distance(features, test, knobs.kid_subsets, knobs.kid_subset_size, subsets),
        each={
            "precision": near.precision,
            "recall": near.recall,
            "density": near.density,
            "coverage": near.coverage,
            "nn_accuracy": np.concatenate([told_apart.real, told_apart.generated]),
        },
    )
