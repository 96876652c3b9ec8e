"""Clusters of images: against scikit-learn's own labels, and what is done with classes."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from genbalance.data.pixels import Pixels
from genbalance.training import loop
from genbalance.training.clusters import ASSIGNED, FITTED, MOST_BYTES, clusters

RAW = Pixels(center=0.0, spread=1 / 255)  # values as they are


def blobs(n=600, count=6, seed=0):
    """Tight balls around far corners, and which of them each point is of; of different sizes."""
    rng = np.random.default_rng(seed)
    corners = 10 * np.eye(count, 20, dtype=np.float32)
    which = rng.choice(count, n, p=np.arange(1, count + 1) / np.arange(1, count + 1).sum())
    return corners[which] + rng.normal(0, 0.1, (n, 20)).astype(np.float32), which


def nearest(pixels, centroids):
    return ((pixels[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)


def test_balls_that_lie_apart_are_found_with_their_shares():
    pixels, which = blobs()
    centroids, shares = clusters(pixels, RAW, None, 0, 6, seed=1)
    found = nearest(pixels, centroids)
    assert adjusted_rand_score(which, found) == pytest.approx(1)
    assert shares.shape == (1, 6)
    assert shares[0] == pytest.approx(np.bincount(found, minlength=6) / len(pixels), abs=1e-6)


def test_images_count_as_their_weights():
    pixels, which = blobs()
    alike = clusters(pixels, RAW, None, 0, 6, 1, loop.inverse_shares(which))[1]
    assert alike[0] == pytest.approx([1 / 6] * 6, abs=1e-6)
    ones = clusters(pixels, RAW, None, 0, 6, 1, np.ones(len(pixels)))
    np.testing.assert_allclose(ones[1], clusters(pixels, RAW, None, 0, 6, seed=1)[1], atol=1e-6)


def test_with_classes_each_has_clusters_of_its_own():
    pixels, which = blobs()
    labels = which % 2
    centroids, shares = clusters(pixels, RAW, labels.astype(np.int64), 2, 6, seed=1)
    assert shares.shape == (2, 6)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert ((shares > 0).sum(axis=0) == 1).all()
    of_class = [nearest(centroids[shares[y] > 0], pixels[labels == y]) for y in (0, 1)]
    for y, rows in enumerate(of_class):  # no centroid lies among the other class's images
        assert np.abs(centroids[shares[y] > 0] - pixels[labels == y][rows]).max() < 1


def test_fewer_clusters_than_classes_are_the_mean_images_of_the_classes():
    pixels, which = blobs()
    centroids, shares = clusters(pixels, RAW, which.astype(np.int64), 6, 0, seed=1)
    means = [pixels[which == y].mean(axis=0) for y in range(6)]
    assert centroids == pytest.approx(np.array(means), abs=1e-5)
    assert (shares == np.eye(6)).all()


def test_there_are_no_more_clusters_than_images_and_a_class_without_images_keeps_one():
    pixels = np.repeat(np.eye(3, 5, dtype=np.float32), 4, axis=0)
    centroids, shares = clusters(pixels, RAW, None, 0, 10, seed=1)
    assert len(centroids) == 3
    centroids, shares = clusters(pixels, RAW, np.zeros(12, dtype=np.int64), 2, 6, seed=1)
    assert shares.shape == (2, 4)
    assert shares[1].tolist() == [0, 0, 0, 1]


class Recording(Pixels):
    """Notes how many values are encoded at a time."""

    most = 0

    def encode(self, pixels):
        Recording.most = max(Recording.most, pixels.size)
        return super().encode(pixels)


def test_large_images_are_few_at_a_time(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (300, 20, 30, 3), dtype=np.uint8)
    monkeypatch.setattr("genbalance.training.clusters.MOST_BYTES", 2**19)
    centroids, shares = clusters(images, Recording(0.0, 1.0), None, 0, 4, seed=1)
    assert 2**18 < 4 * Recording.most <= 2**19
    assert centroids.shape == (4, images[0].size)
    assert shares.sum() == pytest.approx(1)


def test_small_grey_images_are_as_many_at_a_time_as_they_may():
    assert MOST_BYTES // (4 * 28 * 28) >= ASSIGNED >= FITTED


def test_the_same_seed_finds_the_same_bytes_and_another_seed_others():
    pixels, _ = blobs(count=4)
    one, same, other = (clusters(pixels, RAW, None, 0, 9, seed)[0].tobytes() for seed in (1, 1, 2))
    assert one == same != other
