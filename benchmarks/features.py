"""Feature vectors of the classifier's kind, seeded, so that anyone can measure with the same."""

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.features import Features
from genbalance.evaluation.reference import Real
from genbalance.runtime.rng import stream_seed

CLASSES, DIMENSIONS = 10, 128
GENERATED = 1.2  # the spread of the samples within a class, where that of real images is 1


def reading(n: int, seed: int, name: str, spread: float = 1.0) -> Features:
    """n vectors of the stream ``name``: correlated Gaussians about ten centres, rectified, in float32.

    The probabilities are the softmax of the products with the centres.
    """
    shape = np.random.default_rng(stream_seed(seed, "bench/features"))
    centres = shape.standard_normal((CLASSES, DIMENSIONS))
    mixing = spread * shape.standard_normal((DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    noise = np.random.default_rng(stream_seed(seed, f"bench/features/{name}")).standard_normal((n, DIMENSIONS))
    features = np.maximum(centres[np.arange(n) % CLASSES] + noise @ mixing, 0)
    return Features(features.astype(np.float32), _softmax(features @ centres.T).astype(np.float32))


def real(n: int, seed: int) -> Real:
    """n vectors for each split; the floor is all of the training split."""
    train, val, test = (reading(n, seed, name) for name in ("train", "val", "test"))
    means = np.stack([train.features[label::CLASSES].mean(axis=0) for label in range(CLASSES)])
    rows = np.arange(n)
    ceiling = Features(train.features.mean(axis=0, keepdims=True), train.probabilities.mean(axis=0, keepdims=True))
    names = tuple(map(str, range(len(means))))
    return Real(train, train, val, test, rows, ceiling.rows(np.zeros_like(rows)), means, names)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
