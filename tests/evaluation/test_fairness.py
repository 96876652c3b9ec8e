"""Whether every class is served alike, with readings made by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from genbalance.evaluation.bootstrap import Bootstrap
from genbalance.evaluation.fairness import balance, class_table, extreme_intervals
from genbalance.evaluation.features import Features
from genbalance.evaluation.frechet import frechet_distance
from genbalance.evaluation.reference import Real

CLASSES, D = 4, 3
CENTERS = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
COLUMNS = [
    *("class", "generated", "generated_low", "generated_high", "real"),
    *("n", "fd", "fd_low", "fd_high", "fd_floor", "confidence"),
]


def reading(labels, seed, spread=1.0, certainty=0.7):
    """Features around the centre of each image's class, which is read with ``certainty``."""
    labels = np.asarray(labels)
    probabilities = np.full((len(labels), CLASSES), (1 - certainty) / (CLASSES - 1), np.float32)
    probabilities[np.arange(len(labels)), labels] = certainty
    spreads = np.broadcast_to(spread, (CLASSES,))[labels, None]
    noise = np.random.default_rng(seed).standard_normal((len(labels), D)) * spreads
    return Features((CENTERS[labels] + noise).astype(np.float32), probabilities)


def even(n):
    return np.arange(n) % CLASSES


def real(test=None, floor=None):
    test = reading(even(200), 1) if test is None else test
    floor = reading(even(200), 2) if floor is None else floor
    rows = np.arange(len(test.features))
    return Real(floor, floor, floor, test, rows, floor, CENTERS.astype(np.float32))


def served(generated, against):
    table = class_table(generated, against, None)
    return table, balance(table, generated, against)


def test_the_table_has_a_row_a_class_and_its_shares_sum_to_one():
    table = class_table(reading(even(90) ** 2 % 4, 3), real(), None)
    assert list(table.columns) == COLUMNS
    assert table["class"].tolist() == [0, 1, 2, 3]
    assert table["generated"].sum() == pytest.approx(1)
    assert table["real"].tolist() == [0.25] * 4
    assert table["generated"].tolist() == pytest.approx([45 / 90, 45 / 90, 0, 0], abs=0.02)


def test_the_share_of_a_class_has_its_interval_also_where_it_is_not_drawn():
    table = class_table(reading([0, 1, 1, 2] * 25, 3), real(), None)
    for share, low, high in table[["generated", "generated_low", "generated_high"]].to_numpy():
        reference = binomtest(round(share * 100), 100).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-12)
        assert 0 <= low <= share < high
    ends = extreme_intervals(table)
    assert ends["class_share_min"] == {"low": 0, "high": table["generated_high"][3]}
    assert ends["class_share_max"] == {"low": table["generated_low"][1], "high": table["generated_high"][1]}


def test_the_test_images_themselves_are_served_alike_in_everything():
    against = real()
    table, found = served(against.test, against)
    assert table["fd"].tolist() == pytest.approx([0] * 4, abs=1e-9)
    assert found["share_worst_to_mean"] == 1
    assert found["fd_worst_to_mean"] >= 1
    assert (found["class_share_min"], found["class_share_max"]) == (0.25, 0.25)


def test_a_classs_distance_is_that_of_its_samples_to_its_test_images_at_one_n():
    generated, against = reading(even(120), 3, spread=0.8), real()
    table = class_table(generated, against, None)
    for label in range(CLASSES):
        drawn, test, floor = (x.features[label::CLASSES][:30] for x in (generated, against.test, against.floor))
        row = table.iloc[label]
        assert row["n"] == 30
        assert row["fd"] == pytest.approx(frechet_distance(drawn, test), rel=1e-9)
        assert row["fd_floor"] == pytest.approx(frechet_distance(floor, test), rel=1e-9)


def test_the_interval_of_a_class_s_distance_is_as_wide_as_the_distances_of_other_draws_spread():
    """Its bootstrap resamples the images of both sides, within the class."""
    draws = [
        class_table(reading(even(200), 10 + seed), real(reading(even(200), 60 + seed)), None) for seed in range(50)
    ]
    spread = np.std([table["fd"] for table in draws], axis=0)
    table = class_table(reading(even(200), 3), real(), Bootstrap(400, 0))
    assert ((table["fd_low"] < table["fd"]) & (table["fd"] < table["fd_high"])).all()
    widths = (table["fd_high"] - table["fd_low"]) / (2 * 1.96 * spread)
    assert widths.between(0.4, 2).all(), widths


def test_a_class_that_is_not_measured_has_no_interval_and_one_that_is_dropped_that_of_its_test_images():
    against = real(test=reading([3] + [0, 1] * 50, 1))
    table = class_table(reading([0, 2, 3] * 50, 3), against, Bootstrap(50, 0))
    assert (table["fd_low"][3], table["fd_high"][3]) == (0, 0)
    assert table["fd_low"][1] < table["fd"][1] < table["fd_high"][1]
    assert extreme_intervals(table)["fd_class_worst"] == {"low": table["fd_low"][1], "high": table["fd_high"][1]}
    without = class_table(reading([0, 2, 3] * 50, 3), against, None)
    assert (without["fd_low"] == without["fd"]).all()
    assert (without["fd_high"] == without["fd"]).all()
    assert "fd_class_worst" not in extreme_intervals(without)


def test_n_is_what_the_smallest_of_samples_test_and_training_images_of_a_class_allows():
    labels = np.repeat([0, 1, 2, 3], [5, 50, 50, 20])
    against = real(test=reading(np.repeat([0, 1, 2, 3], [50, 7, 50, 18]), 1), floor=reading(even(36), 2))
    assert class_table(reading(labels, 3), against, None)["n"].tolist() == [5, 7, 9, 9]


def test_classes_that_are_served_alike_have_a_ratio_near_one():
    _, found = served(reading(even(200), 3, spread=0.6), real())
    assert found["share_worst_to_mean"] == 1
    assert 1 <= found["fd_worst_to_mean"] < 1.5


def test_a_blurred_class_has_the_worst_distance():
    generated, against = reading(even(200), 3, spread=[1, 1, 0.05, 1]), real()
    table, found = served(generated, against)
    assert table["fd"].idxmax() == 2
    assert found["fd_class_worst"] == table["fd"][2] == table["fd"].max()
    assert found["fd_class_mean"] == pytest.approx(table["fd"].mean())
    assert found["fd_worst_to_mean"] == pytest.approx(table["fd"].max() / table["fd"].mean())
    assert found["fd_worst_to_mean"] > 2
    assert found["share_worst_to_mean"] == 1


def test_a_rarer_class_lowers_the_share_of_the_worst():
    _, found = served(reading(np.repeat([0, 1, 2, 3], [60, 60, 60, 20]), 3), real())
    assert found["share_worst_to_mean"] == pytest.approx(20 / 50)
    assert (found["class_share_min"], found["class_share_max"]) == (0.1, 0.3)


def test_a_share_counts_against_its_share_among_real_images():
    labels = np.repeat([0, 1, 2, 3], [10, 20, 30, 140])
    _, found = served(reading(labels, 3), real(test=reading(labels, 1)))
    assert found["share_worst_to_mean"] == pytest.approx(1)
    _, found = served(reading(even(200), 3), real(test=reading(labels, 1)))
    ratios = 0.25 / np.array([0.05, 0.1, 0.15, 0.7])
    assert found["share_worst_to_mean"] == pytest.approx(ratios.min() / ratios.mean())


@pytest.mark.parametrize("left", [0, 1])
def test_a_class_that_is_dropped_counts_as_its_mean_image(left):
    """One sample is as good as none: it has no covariance."""
    generated, against = reading([3] * left + [0, 1, 2] * 50, 3), real()
    table, found = served(generated, against)
    test = against.test.features[3::CLASSES].astype(float)
    expected = np.square(test.mean(axis=0) - CENTERS[3]).sum() + np.trace(np.cov(test, rowvar=False))
    assert table["fd"][3] == pytest.approx(expected, rel=1e-6)
    assert table["n"][3] == 50
    assert table["confidence"][3] == 0
    assert table["fd"].idxmax() == 3
    assert found["share_worst_to_mean"] < 0.05
    if not left:
        assert found["share_worst_to_mean"] == found["class_share_min"] == 0


def test_two_samples_are_enough_for_a_distance_of_their_own():
    generated, against = reading([3, 3] + [0, 1, 2] * 50, 3), real()
    table = class_table(generated, against, None)
    assert table["n"][3] == 2
    test = against.test.features[3::CLASSES][:2]
    assert table["fd"][3] == pytest.approx(frechet_distance(generated.features[:2], test), rel=1e-9)
    assert table["confidence"][3] == pytest.approx(0.7)


@pytest.mark.parametrize("images", [0, 1])
def test_a_class_of_fewer_than_two_real_images_is_left_out(images):
    against = real(test=reading([3] * images + [0, 1, 2] * 50, 1))
    table, found = served(reading(even(200), 3), against)
    assert np.isfinite(table.to_numpy(dtype=float)).all()
    assert (table["n"][3], table["fd"][3], table["fd_floor"][3]) == (0, 0, 0)
    assert found["fd_class_mean"] == pytest.approx(table["fd"][:3].mean())
    assert found["fd_class_worst"] == table["fd"][:3].max()
    assert np.isfinite(list(found.values())).all()


def test_where_no_class_has_two_real_images_the_whole_set_stands_for_them():
    generated, against = reading(even(40), 3), real(test=reading([0, 1, 2, 3], 1))
    table, found = served(generated, against)
    assert table["n"].tolist() == [0] * 4
    assert found["fd_class_mean"] == found["fd_class_worst"]
    assert found["fd_class_mean"] == pytest.approx(frechet_distance(generated.features, against.test.features))
    assert found["fd_worst_to_mean"] == 1


def test_confidence_is_the_mean_probability_of_the_class_that_was_read():
    sure, unsure = reading([0, 1] * 10, 3, certainty=0.9), reading([0, 0, 2, 2], 4, certainty=0.5)
    both = Features(
        np.concatenate([sure.features, unsure.features]), np.concatenate([sure.probabilities, unsure.probabilities])
    )
    assert class_table(both, real(), None)["confidence"].tolist() == pytest.approx([(9 + 1) / 12, 0.9, 0.5, 0])


@pytest.mark.parametrize("labels", [[2] * 40, even(40), [0] * 39 + [1]], ids=["one class", "all", "nearly one"])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_collapsed_samples_have_finite_numbers(labels, value):
    read = reading(labels, 3)
    collapsed = Features(np.full_like(read.features, value), read.probabilities)
    for generated, against in ((collapsed, real()), (collapsed, real(collapsed, collapsed)), (read, real(collapsed))):
        table, found = served(generated, against)
        assert np.isfinite(table.to_numpy(dtype=float)).all()
        assert np.isfinite(list(found.values())).all()
        assert 0 <= found["share_worst_to_mean"] <= 1 <= found["fd_worst_to_mean"]


def test_samples_of_no_real_class_have_a_share_of_zero():
    _, found = served(reading([3] * 40, 3), real(test=reading([0, 1, 2] * 20, 1)))
    assert found["share_worst_to_mean"] == 0
    assert np.isfinite(list(found.values())).all()
