"""The classifier score, the Inception Score's formula on this project's classifier."""

import numpy as np
from numpy.typing import NDArray


def classifier_score(probabilities: NDArray[np.floating], counts: NDArray[np.integer] | None = None) -> float:
    """exp(E_x KL(p(y|x) ‖ p(y))) for class probabilities [n, classes]: from 1 (worst) to the number of classes.

    The Inception Score (Salimans et al. 2016, arXiv:1606.03498) with this project's classifier in Inception's place,
    over all samples at once, as exp(H(y) − E_x H(y|x)). With ``counts`` [n] the i-th sample stands for that many.
    """
    p = probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    weights = np.full(len(p), 1 / len(p)) if counts is None else counts / counts.sum()
    marginal = weights @ p
    return max(1.0, float(np.exp(_entropies(marginal) - weights @ _entropies(p))))


def _entropies(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """−Σ p log p over the last axis, nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies: NDArray[np.float64] = -np.where(p > 0, p * np.log(p), 0.0).sum(axis=-1)
    return entropies
