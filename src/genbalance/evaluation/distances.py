"""Distances between two sets of feature vectors, in float64.

Features are those of this project's own classifier: none of these is an Inception-FID or comparable with one.
"""

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]


def frechet_distance(a: Features, b: Features) -> float:
    """d² = ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2(Σ_a½ Σ_b Σ_a½)½) of the Gaussians fitted to [n, d] and [m, d] (n, m ≥ 2).

    Fréchet distance of Dowson & Landau 1982 as Heusel et al. 2017 (arXiv:1706.08500) use it; covariances with n − 1.
    The symmetric form needs eigenvalues of symmetric matrices alone: no imaginary residue, and a finite number for
    rank-deficient covariances. Its bias falls as 1/n: compare at equal n only, and read it beside its floor.
    """
    mean_a, mean_b = (x.mean(axis=0, dtype=np.float64) for x in (a, b))
    cov_a, cov_b = (np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return max(float(distance), 0.0)


def kernel_distance(a: Features, b: Features, subsets: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """KID: the unbiased MMD² under k(x, y) = (x·y/d + 1)³, mean and standard deviation over random subsets.

    Bińkowski et al. 2018 (arXiv:1801.01401). Zero in expectation for equal distributions, so it may fall below zero.
    A subset has ``size`` vectors a side, at most half of the smaller side: subsets that overlap much would understate
    the spread.
    """
    size = min(size, len(a) // 2, len(b) // 2)
    values = [
        _unbiased_mmd2(a[rng.choice(len(a), size, replace=False)], b[rng.choice(len(b), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


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
