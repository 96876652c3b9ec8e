"""The Vendi score: the effective number of different samples."""

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.frechet import FeatureMatrix


def vendi_score(features: FeatureMatrix) -> float:
    """exp(−Σ λ_i log λ_i) over the eigenvalues of K/n, K the cosine similarities of [n, d]: from 1, all equal, to
    min(n, d), all orthogonal; the effective number of different samples.

    Friedman & Dieng 2023 (arXiv:2210.02410). K/n and the d × d matrix XᵀX/n of the normalized rows share
    their nonzero eigenvalues, and the latter is small. A zero vector is similar to zero vectors alone, as if
    they had a dimension of their own.
    """
    x = features.astype(np.float64)
    norms = np.linalg.norm(x, axis=1)
    zero = norms == 0
    x /= np.where(zero, 1.0, norms)[:, None]
    values: NDArray[np.float64] = np.linalg.eigvalsh(x.T @ x / len(x)).clip(min=0)
    values = np.append(values, zero.mean())  # the zero vectors' own direction
    values = values[values > 0] / values.sum()
    return float(np.exp(-(values * np.log(values)).sum()))
