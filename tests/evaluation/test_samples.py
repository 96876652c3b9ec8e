"""The suite for samples, with a judge whose features are the pixels."""

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data.pixels import UNIT
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.distances import frechet_distance, kernel_distance
from genbalance.evaluation.judge import Judge
from genbalance.evaluation.samples import Bench, mean_image
from genbalance.params import Evaluate

CLASSES, SIDE = 4, 8


class PixelReader(nn.Module):
    """Features: quarters of the image summed up; the brightest quarter is the class."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(CLASSES, CLASSES, bias=False)
        nn.init.eye_(self.head.weight).data.mul_(5)

    def features(self, images):
        return nn.functional.avg_pool2d(images, SIDE // 2).flatten(1) * 4


@pytest.fixture
def judge():
    return Judge(PixelReader(), UNIT, torch.device("cpu"))


def split(n, seed):
    """Images of class k have a bright quarter k."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    images = rng.integers(0, 90, (n, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        top, left = (label // 2) * 4, (label % 2) * 4
        image[top : top + 4, left : left + 4] += rng.integers(60, 160)
    return Split(images.astype(np.uint8), labels)


@pytest.fixture
def digits():
    return Prepared(split(400, 1), split(40, 2), split(240, 3), "made", "Made", CLASSES, 0.2, 0.3)


def knobs(samples=10_000, subsets=5, size=50):
    return Evaluate(samples=samples, kid_subsets=subsets, kid_subset_size=size)


def noise(n, seed=9):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


def test_the_floor_lies_near_zero_and_far_below_the_ceiling(digits, judge):
    measured = Bench.of(digits, judge, knobs(subsets=20, size=120), 0).measure(judge.read(noise(240)))
    assert 0 <= measured["fd_floor"] < 0.05 * measured["fd_ceiling"]
    assert abs(measured["kid_floor"]) < 0.25 * measured["kid_ceiling"]


def test_the_test_set_itself_is_at_no_distance_and_noise_is_far(digits, judge):
    bench = Bench.of(digits, judge, knobs(), 0)
    itself = bench.measure(judge.read(digits.test.images))
    assert itself["fd_test"] == pytest.approx(0, abs=1e-6)
    assert itself["classifier_score"] == pytest.approx(itself["classifier_score_real"], rel=1e-6)
    far = bench.measure(judge.read(noise(240)))
    assert far["fd_test"] > 10 * far["fd_floor"]
    assert far["kid_test"] > 10 * abs(far["kid_floor"])
    assert far["classifier_score"] < far["classifier_score_real"]


def test_floor_and_ceiling_do_not_depend_on_the_samples(digits, judge):
    bench = Bench.of(digits, judge, knobs(), 0)
    one, two = (bench.measure(judge.read(noise(240, seed))) for seed in (1, 2))
    for name in ("n", "fd_floor", "fd_ceiling", "kid_floor", "kid_ceiling", "classifier_score_real"):
        assert one[name] == two[name], name
    assert one["fd_test"] != two["fd_test"]


@pytest.mark.parametrize(("asked", "n"), [(100, 100), (240, 240), (10_000, 240)])
def test_both_sides_have_n_images_and_n_is_at_most_the_smaller_split(digits, judge, asked, n):
    bench = Bench.of(digits, judge, knobs(samples=asked), 0)
    assert bench.n == bench.measure(judge.read(noise(n)))["n"] == n
    assert len(bench.test.features) == len(bench.floor.features) == len(bench.ceiling.features) == n


def test_the_training_split_bounds_n_too(digits, judge):
    few = Prepared(digits.test, digits.val, digits.train, "made", "Made", CLASSES, 0.2, 0.3)
    assert Bench.of(few, judge, knobs(), 0).n == 240


def test_real_images_are_drawn_without_repeats_and_by_the_seed(digits, judge):
    benches = [Bench.of(digits, judge, knobs(samples=150), seed) for seed in (0, 0, 1)]
    assert len(np.unique(benches[0].test.features, axis=0)) == 150
    assert len(np.unique(benches[0].floor.features, axis=0)) == 150
    assert np.array_equal(benches[0].test.features, benches[1].test.features)
    assert not np.array_equal(benches[0].test.features, benches[2].test.features)


def test_the_numbers_are_those_of_the_distances_with_the_benchs_subsets(digits, judge):
    bench = Bench.of(digits, judge, knobs(subsets=3, size=40), 0)
    generated = judge.read(noise(240))
    measured = bench.measure(generated)
    a, b = generated.features, bench.test.features
    assert measured["fd_test"] == frechet_distance(a, b)
    kid = kernel_distance(a, b, 3, 40, np.random.default_rng(bench.kid_seed))
    assert (measured["kid_test"], measured["kid_std"]) == kid
    assert bench.measure(generated) == measured


def test_class_shares_are_told_of_every_class(digits, judge):
    bench = Bench.of(digits, judge, knobs(), 0)
    one_class = judge.read(digits.test.images[digits.test.labels == 2])
    measured = bench.measure(one_class)
    assert measured["class_histogram"] == {"0": 0.0, "1": 0.0, "2": 1.0, "3": 0.0}
    assert (measured["class_share_min"], measured["class_share_max"]) == (0.0, 1.0)
    assert measured["classifier_score"] < 1.2 < measured["classifier_score_real"]
    table = bench.class_table(one_class)
    assert list(table.columns) == ["class", "generated", "real"]
    assert table["class"].tolist() == [0, 1, 2, 3]
    assert table["generated"].tolist() == [0, 0, 1, 0]
    assert table["real"].tolist() == [0.25] * 4


def test_the_mean_image_is_the_mean_rounded_once_for_each_image():
    images = np.zeros((3, 2, 2), np.uint8)
    images[:, 0, 0] = [0, 1, 1]
    images[:, 1, 1] = [255, 255, 254]
    means = mean_image(images)
    assert means.dtype == np.uint8
    assert means.shape == images.shape
    assert (means == np.array([[1, 0], [0, 255]])).all()
