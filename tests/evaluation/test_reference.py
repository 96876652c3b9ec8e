"""The real images that samples are compared with, with a classifier whose features are the quarters' sums."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data import arrays
from genbalance.data.pixels import UNIT
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.features import FeatureExtractor
from genbalance.evaluation.reference import Real, class_means, mean_image
from genbalance.runtime.errors import UserError

CLASSES, SIDE = 4, 8


class Quarters(nn.Module):
    """Features: the mean of each quarter of the image."""

    head = nn.Identity()

    def features(self, images):
        return nn.functional.avg_pool2d(images, SIDE // 2).flatten(1)


@pytest.fixture
def extractor():
    return FeatureExtractor(Quarters(), UNIT, torch.device("cpu"))


def split(n, seed):
    images = np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)
    return Split(images, np.arange(n) % CLASSES)


@pytest.fixture
def digits():
    return Prepared(split(90, 1), split(20, 2), split(60, 3), "made", "Made", CLASSES, 0.2, 0.3)


@pytest.mark.parametrize(("most", "n"), [(25, 25), (60, 60), (10_000, 60)])
def test_every_side_has_n_images_and_n_is_at_most_the_smaller_split(digits, extractor, most, n):
    real = Real.of(digits, extractor, most, 0)
    assert real.n == n
    assert len(real.test.features) == len(real.floor.features) == len(real.ceiling.features) == n
    assert len(real.train.features) == 90
    assert len(real.val.features) == 20


def test_the_training_split_bounds_n_too(digits, extractor):
    few = dataclasses.replace(digits, train=digits.test, test=digits.train)
    assert Real.of(few, extractor, 10_000, 0).n == 60


def rows_of(features):
    return {tuple(row) for row in features.tolist()}


def test_images_are_drawn_without_repeats(digits, extractor):
    real = Real.of(digits, extractor, 50, 0)
    assert (
        len(set(real.test_rows.tolist())) == len(rows_of(real.test.features)) == len(rows_of(real.floor.features)) == 50
    )
    assert rows_of(real.floor.features) < rows_of(real.train.features)


def test_the_rows_tell_which_test_images_were_drawn(digits, extractor):
    real = Real.of(digits, extractor, 50, 0)
    expected = extractor.read(digits.test.images[real.test_rows])
    np.testing.assert_array_equal(real.test.features, expected.features)
    np.testing.assert_array_equal(real.test.probabilities, expected.probabilities)


def test_the_seed_decides_the_draw(digits, extractor):
    one, same, other = (Real.of(digits, extractor, 50, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.test_rows, same.test_rows)
    np.testing.assert_array_equal(one.floor.features, same.floor.features)
    assert (one.test_rows != other.test_rows).any()
    assert (one.floor.features != other.floor.features).any()


@pytest.mark.parametrize(("train", "test", "most"), [(90, 9, 100), (9, 60, 100), (90, 60, 9)])
def test_fewer_than_ten_images_are_refused_in_one_line(digits, extractor, train, test, most):
    few = dataclasses.replace(digits, train=split(train, 1), test=split(test, 3))
    with pytest.raises(UserError, match=r"^9 images a side .*allowed: at least 10") as raised:
        Real.of(few, extractor, most, 0)
    assert "\n" not in str(raised.value)


def test_ten_images_are_enough(digits, extractor):
    assert Real.of(digits, extractor, 10, 0).n == 10


def test_the_ceiling_is_the_mean_training_image_n_times(digits, extractor):
    real = Real.of(digits, extractor, 30, 0)
    mean = digits.train.images.astype(float).mean(axis=0).round().astype(np.uint8)
    np.testing.assert_array_equal(real.ceiling.features, np.repeat(extractor.read(mean[None]).features, 30, axis=0))


def test_a_classs_mean_is_read_from_the_mean_of_its_training_images(digits, extractor):
    real = Real.of(digits, extractor, 30, 0)
    assert real.class_means.shape == (CLASSES, 4)
    for label in range(CLASSES):
        mean = digits.train.images[digits.train.labels == label].astype(float).mean(axis=0)
        expected = extractor.read(mean.round().astype(np.uint8)[None]).features[0]
        np.testing.assert_allclose(real.class_means[label], expected, rtol=1e-6)


def test_a_class_without_training_images_has_the_mean_of_all():
    one_class = Split(split(12, 1).images, np.full(12, 2))
    means = class_means(one_class, 3)
    assert means.shape == (3, SIDE, SIDE)
    for mean in means:
        np.testing.assert_array_equal(mean, mean_image(one_class.images)[0])


@pytest.mark.parametrize("shape", [(40, 24), (40, 24, 3)])
def test_the_means_of_classes_are_exact_and_take_little_memory(shape, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (700, *shape), dtype=np.uint8)
    labels = np.arange(700) % 3
    expected = [images[labels == label].mean(axis=0, dtype=np.float64).round() for label in range(3)]
    monkeypatch.setattr(arrays, "BLOCK", 2**13)
    tracemalloc.start()
    try:
        means = class_means(Split(images, labels), 3)
        assert tracemalloc.get_traced_memory()[1] < images.nbytes / 4
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(means, expected)
    np.testing.assert_array_equal(mean_image(images)[0], images.mean(axis=0, dtype=np.float64).round())


def test_the_mean_image_is_one_image_rounded():
    images = np.zeros((3, 2, 2), np.uint8)
    images[:, 0, 0] = [0, 1, 1]
    images[:, 1, 1] = [255, 255, 254]
    mean = mean_image(images)
    assert mean.dtype == np.uint8
    assert mean.tolist() == [[[1, 0], [0, 255]]]


def test_a_test_image_is_as_far_as_its_nearest_training_image(digits, extractor):
    real = Real.of(digits, extractor, 30, 0)
    test, train = real.test.features.astype(float), real.train.features.astype(float)
    expected = np.linalg.norm(test[:, None] - train, axis=2).min(axis=1)
    np.testing.assert_allclose(real.test_to_train, expected, rtol=1e-6)


@pytest.mark.parametrize("value", [0, 255])
def test_blank_images_are_read_as_any_others(digits, extractor, value):
    blank = [Split(np.full((n, SIDE, SIDE), value, np.uint8), np.zeros(n, np.int64)) for n in (20, 12, 15)]
    real = Real.of(dataclasses.replace(digits, train=blank[0], val=blank[1], test=blank[2]), extractor, 100, 0)
    assert real.n == 15
    assert np.isfinite(real.class_means).all()
    np.testing.assert_array_equal(real.ceiling.features, real.test.features)
    np.testing.assert_array_equal(real.test_to_train, np.zeros(15))
