"""Clusters of images by k-means, found without labels or within each class."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

FITTED = 10_000  # images that the centroids are fitted to, at most
STARTS = 1


def clusters(
    pixels: NDArray[np.float32], labels: NDArray[np.int64] | None, classes: int, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """About ``count`` clusters of images [n, pixels] by k-means (Lloyd 1982; k-means++ starts, Arthur & Vassilvitskii
    2007), in equal numbers within each class where ``labels`` [n] are given.

    Returns:
        Centroids [N, pixels], and the shares [classes or 1, N] of the clusters among the images of each class, each row
        of which sums to 1. A class has no more clusters than images; one without images keeps one empty cluster.
    """
    groups = [np.arange(len(pixels))] if labels is None else [np.flatnonzero(labels == y) for y in range(classes)]
    each = max(1, count // len(groups))
    rng = np.random.default_rng(seed)
    found = [_of_group(pixels[rows], each, rng) for rows in groups]
    centroids = np.concatenate([centers for centers, _ in found])
    shares = np.zeros((len(groups), len(centroids)), dtype=np.float32)
    first = 0
    for row, (centers, sizes) in enumerate(found):
        shares[row, first : first + len(centers)] = sizes / sizes.sum()
        first += len(centers)
    return centroids, shares


def _of_group(
    pixels: NDArray[np.float32], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Centroids and sizes; at least one."""
    if len(pixels) == 0:
        return np.zeros((1, pixels.shape[1]), dtype=np.float32), np.ones(1)
    from sklearn.cluster import KMeans

    chosen = rng.permutation(len(pixels))[:FITTED]
    distinct = len(np.unique(pixels[chosen], axis=0))
    with threadpool_limits(1):  # scikit-learn's threads add up in the order in which they finish
        model = KMeans(min(count, distinct), n_init=STARTS, random_state=int(rng.integers(2**31)))
        centers = model.fit(pixels[chosen]).cluster_centers_
        sizes = np.bincount(model.predict(pixels), minlength=len(centers))
    return centers.astype(np.float32), sizes.astype(np.float64)
