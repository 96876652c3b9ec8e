"""The kernel distance of two sets of feature vectors, KID's formula, in float64.

Features are those of this project's own classifier: it is no Inception-KID and cannot be compared with one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbalance.evaluation.frechet import FeatureMatrix


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
    values = [
        _unbiased_mmd2(a[rng.choice(len(a), size, replace=False)], b[rng.choice(len(b), size, replace=False)])
        for _ in range(subsets)
    ]
    std = float(np.std(values))
    return KernelDistance(float(np.mean(values)), std, std * (size / (n - size)) ** 0.5)


def _unbiased_mmd2(a: FeatureMatrix, b: FeatureMatrix) -> float:
    x, y = (torch.from_numpy(each.astype(np.float64)) for each in (a, b))
    size = len(x)
    pairs = size * (size - 1)
    within = ((_kernel_sum(each, each), (each.square().sum(dim=1) / each.shape[1] + 1).pow(3).sum()) for each in (x, y))
    return float(sum((every - own) / pairs for every, own in within) - 2 * _kernel_sum(x, y) / size**2)


def _kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    """Σ k(x, y) over all pairs."""
    return torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1]).pow_(3).sum()
