"""Clusters of images by k-means, found without labels or within each class."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from genbalance.data.pixels import Pixels

FITTED = 10_000  # images that the centroids are fitted to, at most
ASSIGNED = 2**16  # images that are assigned at a time, at most
MOST_BYTES = 2**28  # of either as float32; 2¹⁶ grey images of 28 × 28 have fewer
STARTS = 1


def clusters(
    images: NDArray[np.uint8],
    pixels: Pixels,
    labels: NDArray[np.int64] | None,
    classes: int,
    count: int,
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """About ``count`` clusters of images [n, H, W(, 3)], in the range of ``pixels``, by k-means (Lloyd 1982; k-means++
    starts, Arthur & Vassilvitskii 2007), in equal numbers within each class where ``labels`` [n] are given. Where
    there are ``weights`` [n], an image counts as so many.

    Returns:
        Centroids [N, pixels], and the shares [classes or 1, N] of the clusters among the images of each class, each row
        of which sums to 1. A class has no more clusters than images; one without images keeps one empty cluster.
    """
    groups = [np.arange(len(images))] if labels is None else [np.flatnonzero(labels == y) for y in range(classes)]
    each = max(1, count // len(groups))
    rng = np.random.default_rng(seed)
    found = [_of_group(images, rows, pixels, each, rng, weights) for rows in groups]
    centroids = np.concatenate([centers for centers, _ in found])
    shares = np.zeros((len(groups), len(centroids)), dtype=np.float32)
    first = 0
    for row, (centers, sizes) in enumerate(found):
        shares[row, first : first + len(centers)] = sizes / sizes.sum()
        first += len(centers)
    return centroids, shares


def _of_group(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    pixels: Pixels,
    count: int,
    rng: np.random.Generator,
    weights: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Centroids and sizes among some rows of the images; at least one."""
    if len(rows) == 0:
        return np.zeros((1, images[0].size), dtype=np.float32), np.ones(1)
    from sklearn.cluster import KMeans

    def of(some: NDArray[np.int64]) -> NDArray[np.float32]:
        """In the order of the channels that a network sees, each pixel of the first, then of the next."""
        chosen = images[some].transpose(0, 3, 1, 2) if images.ndim == 4 else images[some]
        encoded: NDArray[np.float32] = pixels.encode(chosen.reshape(len(some), -1))
        return encoded

    fit = max(1, MOST_BYTES // (4 * images[0].size))  # images at a time
    fitted = rows[rng.permutation(len(rows))[: min(FITTED, fit)]]
    chosen = of(fitted)
    distinct = len(np.unique(chosen, axis=0))
    with threadpool_limits(1):  # scikit-learn's threads add up in the order in which they finish
        model = KMeans(min(count, distinct), n_init=STARTS, random_state=int(rng.integers(2**31)))
        centers = model.fit(chosen, sample_weight=None if weights is None else weights[fitted]).cluster_centers_
        step = min(ASSIGNED, fit)
        blocks = (rows[first : first + step] for first in range(0, len(rows), step))
        sizes = sum(
            np.bincount(model.predict(of(block)), None if weights is None else weights[block], len(centers))
            for block in blocks
        )
    return centers.astype(np.float32), np.asarray(sizes, np.float64)
