"""The suite for samples, with a classifier whose features are the pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data.pixels import UNIT
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation import suite as suites
from genbalance.evaluation.bootstrap import Bootstrap
from genbalance.evaluation.features import FeatureExtractor
from genbalance.evaluation.frechet import frechet_distance
from genbalance.evaluation.kid import kernel_distance
from genbalance.evaluation.suite import EvaluationSuite
from genbalance.families.registry import OF_CLASSES
from genbalance.params import EvaluateConfig
from genbalance.reporting.measures import GROUPS
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

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
def extractor():
    return FeatureExtractor(PixelReader(), UNIT, torch.device("cpu"))


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


def config(samples=10_000, subsets=5, size=50):
    return EvaluateConfig(
        samples=samples,
        kid_subsets=subsets,
        kid_subset_size=size,
        neighbours=5,
        resamples=50,
        importance_draws=2,
        inversion_images=2,
        inversion_steps=2,
    )


def measured(suite, reading):
    return suite.measure(reading).metrics


def noise(n, seed=9):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


def test_the_floor_lies_near_zero_and_far_below_the_ceiling(digits, extractor):
    of_noise = measured(
        EvaluationSuite.of(digits, extractor, config(subsets=20, size=120), 0), extractor.read(noise(240))
    )
    assert 0 <= of_noise["fd_floor"] < 0.05 * of_noise["fd_ceiling"]
    assert abs(of_noise["kid_floor"]) < 0.25 * of_noise["kid_ceiling"]


def test_the_test_set_itself_is_at_no_distance_and_noise_is_far(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    itself = measured(suite, extractor.read(digits.test.images))
    assert itself["fd_test"] == pytest.approx(0, abs=1e-6)
    assert itself["classifier_score"] == pytest.approx(itself["classifier_score_real"], rel=1e-6)
    assert itself["precision"] == itself["recall"] == itself["coverage"] == 1
    assert itself["nn_accuracy"] == 0  # each image's twin is of the other kind
    assert itself["vendi"] == pytest.approx(itself["vendi_real"])
    assert itself["class_distance"] == 0
    far = measured(suite, extractor.read(noise(240)))
    assert far["fd_test"] > 10 * far["fd_floor"]
    assert far["kid_test"] > 10 * abs(far["kid_floor"])
    assert far["classifier_score"] < far["classifier_score_real"]
    assert far["nn_accuracy"] > 0.9
    assert far["precision"] < 0.1 < far["precision_real"]


def test_fresh_real_images_measure_as_well_as_the_floor(digits, extractor):
    fresh = split(240, 11).images
    m = measured(EvaluationSuite.of(digits, extractor, config(), 0), extractor.read(fresh))
    assert m["fd_test"] < 5 * m["fd_floor"]
    assert m["nn_accuracy"] == pytest.approx(0.5, abs=0.15)
    for name in ("precision", "recall", "density", "coverage"):
        assert m[name] == pytest.approx(m[f"{name}_real"], abs=0.15), name
    assert abs(m["copying_z"]) < 3
    assert m["nearer_train"] == pytest.approx(0.5, abs=0.15)


def test_copies_of_training_images_are_flagged_and_shown(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    images = np.concatenate([split(200, 12).images, digits.train.images[100:140]])
    found = suite.measure(extractor.read(images))
    copied = measured(suite, extractor.read(digits.train.images[:240]))
    assert copied["authenticity"] == 0
    assert copied["copying_z"] < -3 < found.metrics["copying_z"]
    assert copied["nearer_train"] > 0.7 > found.metrics["nearer_train"]
    assert set(found.copies.generated) <= set(range(200, 240))
    np.testing.assert_array_equal(found.copies.train, found.copies.generated - 100)
    shown = extractor.read(digits.test.images[found.copies.test]).features
    for row, features in zip(found.copies.generated, shown, strict=True):
        every = np.linalg.norm(
            extractor.read(digits.test.images).features - extractor.read(images[[row]]).features, axis=1
        )
        assert np.linalg.norm(features - extractor.read(images[[row]]).features[0]) == pytest.approx(
            every.min(), rel=1e-5
        )


def test_what_real_images_get_does_not_depend_on_the_samples(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    one, two = (measured(suite, extractor.read(noise(240, seed))) for seed in (1, 2))
    alike = {name for name in one if name.endswith(("_real", "_floor", "_ceiling"))}
    assert {"fd_floor", "kid_ceiling", "recall_real", "authenticity_real", "vendi_real"} <= alike
    for name in ("n", *alike):
        assert one[name] == two[name], name
    assert one["fd_test"] != two["fd_test"]


@pytest.mark.parametrize(
    ("asked", "most", "n"), [(100, None, 100), (240, None, 240), (10_000, None, 240), (200, 60, 60)]
)
def test_both_sides_have_n_images_and_n_is_at_most_the_smaller_split_or_the_samples(digits, extractor, asked, most, n):
    suite = EvaluationSuite.of(digits, extractor, config(samples=asked), 0, most)
    assert suite.n == measured(suite, extractor.read(noise(n)))["n"] == n
    real = suite.real
    assert len(real.test.features) == len(real.floor.features) == len(real.ceiling.features) == n


def test_the_training_split_bounds_n_too(digits, extractor):
    few = Prepared(digits.test, digits.val, digits.train, "made", "Made", CLASSES, 0.2, 0.3)
    assert EvaluationSuite.of(few, extractor, config(), 0).n == 240


def test_the_numbers_are_those_of_the_distances_with_the_suites_subsets(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(subsets=3, size=40), 0)
    generated = extractor.read(noise(240))
    m = measured(suite, generated)
    a, b = generated.features, suite.real.test.features
    assert m["fd_test"] == frechet_distance(a, b)
    kid = kernel_distance(a, b, 3, 40, np.random.default_rng(stream_seed(0, "evaluate/kid")))
    assert (m["kid_test"], m["kid_std"]) == (kid.mean, kid.std)
    assert measured(suite, generated) == m


def test_every_interval_is_of_a_metric_and_holds_it(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    m = measured(suite, extractor.read(split(240, 13).images // 2))
    assert {"fd_test", "kid_test", "classifier_score", "precision", "recall", "density", "coverage"} <= m["ci95"].keys()
    for name, interval in m["ci95"].items():
        assert interval["low"] <= m[name] <= interval["high"], name
    assert m["ci95"]["fd_test"]["low"] < m["ci95"]["fd_test"]["high"]


def test_of_many_features_the_frechet_distances_alone_have_no_intervals(digits, extractor, monkeypatch):
    generated, few = extractor.read(noise(240)), EvaluationSuite.of(digits, extractor, config(), 0)
    found = {}
    for most in (CLASSES, CLASSES - 1):
        monkeypatch.setattr(suites, "RESAMPLED", most)
        found[most] = measured(few, generated)
    assert found[CLASSES]["ci95"].pop("fd_test")["low"] > 0
    assert found[CLASSES]["ci95"].pop("fd_class_worst")["low"] > 0
    assert found[CLASSES - 1] == found[CLASSES]


def test_every_class_has_a_share(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    one_class = extractor.read(np.repeat(digits.test.images[digits.test.labels == 2], CLASSES, axis=0))
    found = suite.measure(one_class)
    m = found.metrics
    assert m["class_histogram"] == {"0": 0.0, "1": 0.0, "2": 1.0, "3": 0.0}
    assert (m["class_share_min"], m["class_share_max"], m["share_worst_to_mean"]) == (0.0, 1.0, 0.0)
    assert m["class_distance"] == 0.75
    assert m["classifier_score"] < 1.2 < m["classifier_score_real"]
    assert found.classes["class"].tolist() == [0, 1, 2, 3]
    assert found.classes["generated"].tolist() == [0, 0, 1, 0]
    assert found.classes["real"].tolist() == [0.25] * 4


def test_a_class_that_the_test_split_lacks_is_left_out_of_the_classes_balance(digits, extractor):
    kept = digits.test.labels != 2
    fewer = replace(digits, test=Split(digits.test.images[kept], digits.test.labels[kept]))
    found = EvaluationSuite.of(fewer, extractor, config(), 0).measure(extractor.read(split(kept.sum(), 13).images))
    assert found.classes["real"].tolist()[2] == 0
    assert (found.classes["n"] > 0).tolist() == [True, True, False, True]
    ratios = (found.classes["generated"] / found.classes["real"])[[0, 1, 3]]
    assert found.metrics["share_worst_to_mean"] == pytest.approx(ratios.min() / ratios.mean())
    assert found.metrics["fd_class_mean"] == pytest.approx(found.classes["fd"][[0, 1, 3]].mean())
    assert all(np.isfinite(value) for value in found.metrics.values() if not isinstance(value, dict))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_samples_that_are_all_equal_give_finite_numbers(digits, extractor, level):
    m = measured(
        EvaluationSuite.of(digits, extractor, config(), 0), extractor.read(np.full((240, SIDE, SIDE), level, np.uint8))
    )
    numbers = {name: value for name, value in m.items() if not isinstance(value, dict)}
    numbers |= {f"{name}.{end}": value for name, ends in m["ci95"].items() for end, value in ends.items()}
    assert all(np.isfinite(value) for value in numbers.values()), numbers
    assert m["classifier_score"] == pytest.approx(1)
    assert m["vendi"] == pytest.approx(1)
    assert m["recall"] == m["pairwise_distance"] == 0
    assert m["nn_accuracy"] >= 0.5


def test_features_that_are_not_finite_are_refused_in_one_line(digits, extractor):
    suite = EvaluationSuite.of(digits, extractor, config(), 0)
    broken = extractor.read(noise(240))
    broken.features[3, 1] = np.nan
    with pytest.raises(UserError, match="found NaN or infinity; allowed: finite numbers"):
        suite.measure(broken)


def test_any_other_number_of_samples_than_the_suites_is_refused(digits, extractor):
    with pytest.raises(ValueError, match="239 samples for a suite of 240"):
        EvaluationSuite.of(digits, extractor, config(), 0).measure(extractor.read(noise(239)))


def test_the_intervals_follow_the_seed(digits, extractor):
    assert (
        EvaluationSuite.of(digits, extractor, config(), 3).bootstrap
        == EvaluationSuite.of(digits, extractor, config(), 3).bootstrap
    )
    assert (
        EvaluationSuite.of(digits, extractor, config(), 3).bootstrap
        != EvaluationSuite.of(digits, extractor, config(), 4).bootstrap
    )
    assert isinstance(EvaluationSuite.of(digits, extractor, config(), 3).bootstrap, Bootstrap)


def test_classes_have_their_shares_by_their_names(digits, extractor):
    named = replace(digits, class_names=("ant", "bee", "cat", "dog"))
    found = EvaluationSuite.of(named, extractor, config(), 0).measure(extractor.read(noise(240)))
    unnamed = EvaluationSuite.of(digits, extractor, config(), 0).measure(extractor.read(noise(240)))
    assert [*found.metrics["class_histogram"]] == ["ant", "bee", "cat", "dog"]
    assert [*found.metrics["class_histogram"].values()] == [*unnamed.metrics["class_histogram"].values()]
    assert {**found.metrics, "class_histogram": {}} == {**unnamed.metrics, "class_histogram": {}}


@pytest.mark.parametrize("classes", [0, 1])
def test_without_two_classes_what_needs_none_is_measured_as_ever(digits, extractor, classes):
    def alike(split):
        return Split(split.images, np.zeros_like(split.labels))

    splits = {part: alike(getattr(digits, part)) for part in ("train", "val", "test")}
    bare = replace(digits, classes=classes, **splits)
    found, whole = (
        EvaluationSuite.of(given, extractor, config(), 0).measure(extractor.read(noise(240)))
        for given in (bare, digits)
    )
    left = whole.metrics.keys() - found.metrics.keys()
    assert left == {
        *("classifier_score", "classifier_score_real", "class_distance", "class_distance_real", "class_histogram"),
        *("class_share_min", "class_share_max", "share_worst_to_mean"),
        *("fd_class_mean", "fd_class_worst", "fd_worst_to_mean"),
    }
    cells = {"copying_z", "copying_z_real", "ci95"}  # are the classes, where there are some
    for name in found.metrics.keys() - cells:
        assert found.metrics[name] == whole.metrics[name], name
    assert whole.metrics["ci95"].keys() - found.metrics["ci95"].keys() == {
        *("classifier_score", "class_share_min", "class_share_max", "fd_class_worst")
    }
    assert len(found.classes) == 0
    assert [*found.classes.columns] == [*whole.classes.columns]


def test_reports_and_evaluations_leave_out_the_same_of_images_without_classes():
    evaluated = {name.removesuffix("_real") for name in suites.OF_CLASSES} - {"class_histogram"}
    assert evaluated < OF_CLASSES
    assert {measure.key for measure in GROUPS["Classes"]} < OF_CLASSES
