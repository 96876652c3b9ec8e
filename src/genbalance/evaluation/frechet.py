"""The Fréchet distance of two sets of feature vectors, FID's formula, in float64.

Features are those of this project's own classifier: it is no Inception-FID and cannot be compared with one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

FeatureMatrix = NDArray[np.floating]

POINTS = 15  # sizes that the extrapolation to n → ∞ looks at
REPEATS = 4  # subsets of each size, evenly far apart


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance [d, d] (with n − 1) of a set of feature vectors."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(features: FeatureMatrix, counts: NDArray[np.integer] | None = None) -> Moments:
    """Of [n, d], n ≥ 2; with ``counts`` [n] the i-th vector stands for that many, as in a bootstrap's resample."""
    x = features.astype(np.float64, order="C")
    if counts is None:
        total, mean = len(x), x.mean(axis=0)
        x -= mean
    else:
        total, mean = int(counts.sum()), counts @ x / counts.sum()
        x -= mean
        x *= np.sqrt(counts)[:, None]
    scatter = dsyrk(1 / (total - 1), x.T)  # the upper triangle of xᵀ·x: half of the products
    return Moments(mean, scatter + np.triu(scatter, 1).T)


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


def frechet_distance(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """The Fréchet distance of the Gaussians fitted to [n, d] and [m, d] (n, m ≥ 2).

    As Heusel et al. 2017 (arXiv:1706.08500) use it; covariances with n − 1. Its bias falls as 1/n: compare at equal n
    only, and read it beside its floor.
    """
    return frechet(moments(a), moments(b))


def frechet_weighted(
    a: FeatureMatrix, b: FeatureMatrix, a_counts: NDArray[np.integer], b_counts: NDArray[np.integer]
) -> float:
    """The Fréchet distance of [n, d] and [m, d], of which the i-th vector of a side stands for ``counts`` [n] or [m]
    ones, as in a bootstrap's resample.

    Fewer vectors than features need no matrix of the features: tr (Σ_a½ Σ_b Σ_a½)½ is the sum of the singular values of
    A·Bᵀ, where A and B are the centred vectors, divided by the root of n − 1.
    """
    if min(np.count_nonzero(a_counts), np.count_nonzero(b_counts)) >= a.shape[1]:
        return frechet(moments(a, a_counts), moments(b, b_counts))
    (rows, mean), (others, other) = _scaled(a, a_counts), _scaled(b, b_counts)
    cross = np.linalg.svd(rows @ others.T, compute_uv=False).sum()
    distance = np.square(mean - other).sum() + np.square(rows).sum() + np.square(others).sum() - 2 * cross
    return max(float(distance), 0.0)


def _scaled(features: FeatureMatrix, counts: NDArray[np.integer]) -> tuple[FeatureMatrix, FeatureMatrix]:
    """A [≤ n, d] with AᵀA the covariance, and the mean [d]."""
    x, held = features[counts > 0].astype(np.float64), counts[counts > 0]
    mean = held @ x / held.sum()
    return (x - mean) * np.sqrt(held / (held.sum() - 1))[:, None], mean


def frechet_infinity(a: FeatureMatrix, b: FeatureMatrix, rng: np.random.Generator) -> float:
    """FD∞: the Fréchet distance of [n, d] and [n, d] extrapolated to n → ∞, where its bias is gone.

    Chong & Forsyth 2020 (arXiv:1911.07023): the intercept of a line through the distances of random subsets over 1/m.
    Here m takes 15 sizes from n/2 to n, evenly spaced in 1/m, with four subsets each, and both sides shrink (theirs
    keeps the real side whole, and its bias with it). Zero in expectation for equal distributions, so chance may take it
    below zero. n ≥ 3.

    A subset of ``a`` is consecutive vectors from a random start, the first ones after the last. Of vectors in random
    order these are as good as any; of samples whose conditions are spread evenly (``Conditions.draw``) they are spread
    as evenly as all, where vectors at random would not be, and the line would end too low.
    """
    n = min(len(a), len(b))
    inverse = np.linspace(1 / n, 2 / n, POINTS)
    distances = []
    for size in np.round(1 / inverse).astype(int):
        start, order = rng.integers(len(a)), rng.permutation(len(b))
        runs = [place * n // REPEATS + np.arange(size) for place in range(REPEATS)]
        repeated = [frechet_distance(a[(start + run) % len(a)], b[order[run % len(b)]]) for run in runs]
        distances.append(np.mean(repeated))
    _, intercept = np.polyfit(inverse * n, distances, 1)
    return float(intercept)
