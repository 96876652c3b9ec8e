"""Distances between two sets of feature vectors, in float64.

Features are those of this project's own classifier: none of these is an Inception-FID or comparable with one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]

POINTS = 15  # sizes that the extrapolation to n → ∞ looks at


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance [d, d] (with n − 1) of a set of feature vectors."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(features: Features, counts: NDArray[np.integer] | None = None) -> Moments:
    """Of [n, d], n ≥ 2; with ``counts`` [n] the i-th vector stands for that many, as in a bootstrap's resample."""
    x = features.astype(np.float64)
    repeats = np.ones(len(x)) if counts is None else counts.astype(np.float64)
    total = repeats.sum()
    mean = repeats @ x / total
    x -= mean
    return Moments(mean, (x * repeats[:, None]).T @ x / (total - 1))


def frechet(a: Moments, b: Moments) -> float:
    """d² = ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2(Σ_a½ Σ_b Σ_a½)½) of two Gaussians (Dowson & Landau 1982).

    The symmetric form needs eigenvalues of symmetric matrices alone: no imaginary residue, and a finite number for
    rank-deficient covariances.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(min=0)).sum()
    distance = np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(distance), 0.0)


def frechet_distance(a: Features, b: Features) -> float:
    """The Fréchet distance of the Gaussians fitted to [n, d] and [m, d] (n, m ≥ 2).

    As Heusel et al. 2017 (arXiv:1706.08500) use it; covariances with n − 1. Its bias falls as 1/n: compare at equal n
    only, and read it beside its floor.
    """
    return frechet(moments(a), moments(b))


def frechet_infinity(a: Features, b: Features, rng: np.random.Generator) -> float:
    """FD∞: the Fréchet distance of [n, d] and [n, d] extrapolated to n → ∞, where its bias is gone.

    Chong & Forsyth 2020 (arXiv:1911.07023): the intercept of a line through the distances of random subsets over 1/m.
    Here m takes 15 sizes from n/2 to n, evenly spaced in 1/m, and both sides shrink (theirs keeps the real side whole,
    and its bias with it). Zero in expectation for equal distributions, so chance may take it below zero. n ≥ 3.
    """
    n = min(len(a), len(b))
    inverse = np.linspace(1 / n, 2 / n, POINTS)
    distances = []
    for size in np.round(1 / inverse).astype(int):
        subsets = (x[rng.choice(len(x), size, replace=False)] for x in (a, b))
        distances.append(frechet_distance(*subsets))
    _, intercept = np.polyfit(inverse * n, distances, 1)
    return float(intercept)


@dataclass(frozen=True)
class KernelDistance:
    """Mean and standard deviation over the subsets, and the ``standard_error`` of the mean at the whole n."""

    mean: float
    std: float
    standard_error: float


def kernel_distance(a: Features, b: Features, subsets: int, size: int, rng: np.random.Generator) -> KernelDistance:
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


def _unbiased_mmd2(a: Features, b: Features) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    size, dimensions = x.shape
    within_x, within_y, between = ((p @ q.T / dimensions + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    pairs = size * (size - 1)
    return float(
        (within_x.sum() - np.trace(within_x)) / pairs
        + (within_y.sum() - np.trace(within_y)) / pairs
        - 2 * between.mean()
    )
