"""The kernel distance of two sets of feature vectors, KID's formula, in float64.

Features are those of this project's own classifier: it is no Inception-KID and cannot be compared with one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.frechet import FeatureMatrix
from genbalance.runtime.device import in_threads


@dataclass(frozen=True)
class KernelDistance:
    """Mean and standard deviation over the subsets, and the ``standard_error`` of the mean at the whole n."""

    mean: float
    std: float
    standard_error: float


def kernel_distance(
    a: FeatureMatrix, b: FeatureMatrix, subsets: int, size: int, rng: np.random.Generator
) -> KernelDistance:
    """KID: the unbiased MMD² under k(x, y) = (x·y/d + 1)³, over random subsets of two sets of feature vectors.

    Bińkowski et al. 2018 (arXiv:1801.01401). Zero in expectation for equal distributions, so it may fall below zero.
    A subset has ``size`` vectors a side, at most half of the smaller side: subsets that overlap much would understate
    the spread. The standard error is that of the delete-d jackknife (Shao & Wu 1989): std·√(f/(1 − f)) for subsets
    that hold the share f of the images; too large, by up to √(1/(f·(1 − f))), where the distributions are about equal.
    At least four vectors a side.
    """
    n = min(len(a), len(b))
    size = min(size, n // 2)
    sides = ([side[rng.choice(len(side), size, replace=False)] for side in (a, b)] for _ in range(subsets))
    values = in_threads(_unbiased_mmd2, sides)
    std = float(np.std(values))
    return KernelDistance(float(np.mean(values)), std, std * (size / (n - size)) ** 0.5)


def _unbiased_mmd2(a: FeatureMatrix, b: FeatureMatrix) -> float:
    size, root = len(a), np.sqrt(a.shape[1])
    # with a one behind each vector, products are x·y/d + 1
    x, y = (np.column_stack([each.astype(np.float64) / root, np.ones(size)]) for each in (a, b))
    within = sum(_sum_of_cubes(z @ z.T) - float((np.square(z).sum(axis=1) ** 3).sum()) for z in (x, y))
    return within / (size * (size - 1)) - 2 * _sum_of_cubes(x @ y.T) / size**2


def _sum_of_cubes(values: NDArray[np.float64]) -> float:
    return float(np.vdot(np.square(values), values))
