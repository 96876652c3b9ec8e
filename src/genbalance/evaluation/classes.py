"""What the classifier reads in a set of images."""

import numpy as np
from numpy.typing import NDArray


def classifier_score(probabilities: NDArray[np.floating]) -> float:
    """exp(E_x KL(p(y|x) ‖ p(y))) for class probabilities [n, classes]: from 1 (worst) to the number of classes.

    The Inception Score (Salimans et al. 2016, arXiv:1606.03498) with this project's classifier in Inception's place,
    over all samples at once.
    """
    p = probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    marginal = p.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(p > 0, p * (np.log(p) - np.log(marginal)), 0.0).sum(axis=1)
    return float(np.exp(divergence.mean()))


def class_shares(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of images [classes] that the classifier reads as each class; sums to 1."""
    classes = probabilities.shape[1]
    return np.bincount(probabilities.argmax(axis=1), minlength=classes) / len(probabilities)
