"""What the classifier reads in a set of images."""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.floating]
Shares = NDArray[np.float64]


def classifier_score(probabilities: Probabilities, counts: NDArray[np.integer] | None = None) -> float:
    """exp(E_x KL(p(y|x) ‖ p(y))) for class probabilities [n, classes]: from 1 (worst) to the number of classes.

    The Inception Score (Salimans et al. 2016, arXiv:1606.03498) with this project's classifier in Inception's place,
    over all samples at once, as exp(H(y) − E_x H(y|x)). With ``counts`` [n] the i-th sample stands for that many.
    """
    p = probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    weights = np.full(len(p), 1 / len(p)) if counts is None else counts / counts.sum()
    marginal = weights @ p
    return max(1.0, float(np.exp(_entropies(marginal) - weights @ _entropies(p))))


def _entropies(p: Shares) -> Shares:
    """−Σ p log p over the last axis, nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies: Shares = -np.where(p > 0, p * np.log(p), 0.0).sum(axis=-1)
    return entropies


def read_classes(probabilities: Probabilities) -> NDArray[np.int64]:
    """The class that the classifier reads in each of n images."""
    read: NDArray[np.int64] = probabilities.argmax(axis=1)
    return read


def class_shares(probabilities: Probabilities) -> Shares:
    """The share of images [classes] that the classifier reads as each class; sums to 1."""
    classes = probabilities.shape[1]
    return np.bincount(read_classes(probabilities), minlength=classes) / len(probabilities)


def total_variation(a: Shares, b: Shares) -> float:
    """½ Σ |a − b| of two distributions over classes: 0 where they are equal, 1 where they share no class.

    The share of the images that would have to change their class.
    """
    return float(np.abs(a - b).sum() / 2)


def draw_labels(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """``count`` labels to ask a conditional model for, drawn with the shares that they have among ``labels`` [n]."""
    return np.random.default_rng(seed).choice(labels, count)


def as_asked(probabilities: Probabilities, asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the classifier reads in each of n images the class that a conditional model was asked for: [n]."""
    right: NDArray[np.bool_] = read_classes(probabilities) == asked
    return right
