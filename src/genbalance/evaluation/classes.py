"""The classes that the classifier reads in a set of images."""

import numpy as np
from numpy.typing import NDArray

from genbalance.runtime.rng import GOLDEN

Probabilities = NDArray[np.floating]
Shares = NDArray[np.float64]


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
    """``count`` labels to condition a model on, drawn with the shares that they have among ``labels`` [n], and evenly,
    as the GAN's conditions are (``Conditions.draw``)."""
    points = (np.random.default_rng(seed).random() + GOLDEN * np.arange(count)) % 1
    drawn: NDArray[np.int64] = np.sort(labels)[(points * len(labels)).astype(np.int64).clip(max=len(labels) - 1)]
    return drawn


def class_preserved(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the classifier reads in each of n images the class of ``labels`` [n] that the model was conditioned on:
    [n]."""
    same: NDArray[np.bool_] = read_classes(probabilities) == labels
    return same
