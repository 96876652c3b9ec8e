"""Intervals, against normal theory and against what fresh draws show."""

import math
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from genbalance.evaluation.bootstrap import QUANTILE, Bootstrap, around, normal
from genbalance.evaluation.frechet import frechet, frechet_distance, moments


def values(n, seed=0):
    return np.random.default_rng(seed).exponential(2.0, n)


def width(interval):
    return interval["high"] - interval["low"]


def test_a_resample_has_as_many_images_and_holds_some_repeatedly():
    counts = np.array(list(Bootstrap(300, 0).counts(50)))
    assert counts.shape == (300, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 / math.sqrt(300))


def test_resamples_are_drawn_one_at_a_time():
    """As many as these would not fit into any memory."""
    first = list(islice(Bootstrap(10**12, 0).counts(5), 3))
    np.testing.assert_array_equal(first, list(Bootstrap(3, 0).counts(5)))


def test_equal_seeds_give_equal_resamples_and_sides_and_seeds_differ():
    one, same, other_side, other_seed = (
        np.array(list(Bootstrap(20, seed).counts(30, side))) for seed, side in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other_side).any()
    assert (one != other_seed).any()
    assert Bootstrap(20, 1).mean(values(30)) == Bootstrap(20, 1).mean(values(30)) != Bootstrap(20, 2).mean(values(30))


def test_two_sides_are_resampled_independently():
    one, two = (np.array(list(Bootstrap(400, 3).counts(40, side))).ravel() for side in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / math.sqrt(len(one))


def test_the_interval_of_a_mean_is_that_of_normal_theory_where_there_are_many_images():
    x = values(500)
    interval = Bootstrap(3000, 0).mean(x)
    expected = normal(x.mean(), x.std(ddof=1) / math.sqrt(len(x)))
    for end in ("low", "high"):
        assert interval[end] == pytest.approx(expected[end], abs=0.1 * width(expected))
    assert width(interval) == pytest.approx(width(expected), rel=0.08)


def test_the_mean_of_fresh_draws_lies_in_95_of_100_intervals():
    intervals = [Bootstrap(200, s).mean(values(100, s)) for s in range(400)]
    inside = np.mean([interval["low"] <= 2.0 <= interval["high"] for interval in intervals])
    assert 0.90 < inside < 0.98


def test_an_interval_contains_the_value():
    for seed in range(20):
        x = values(12, seed) ** 3
        interval = Bootstrap(10, seed).mean(x)
        assert interval["low"] <= x.mean() <= interval["high"]


@pytest.mark.parametrize("factor", [4, 16])
def test_an_interval_narrows_with_the_root_of_the_number_of_images(factor):
    few, many = (np.mean([width(Bootstrap(300, s).mean(values(n, s))) for s in range(10)]) for n in (100, 100 * factor))
    assert few / many == pytest.approx(math.sqrt(factor), rel=0.15)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -7.25])
def test_constant_values_leave_nothing_unsure(constant):
    interval = Bootstrap(50, 0).mean(np.full(30, constant))
    assert interval["low"] == pytest.approx(constant, rel=1e-14)
    assert interval["high"] == pytest.approx(constant, rel=1e-14)


def test_the_interval_of_a_share_stays_between_zero_and_one():
    for seed in range(30):
        for rare in (np.arange(100) < 1, np.arange(100) >= 1):
            interval = Bootstrap(200, seed).mean(rare)
            assert 0 <= interval["low"] <= rare.mean() <= interval["high"] <= 1


def test_truth_values_and_single_precision_are_counted_in_double():
    right = values(90) > 2
    assert Bootstrap(50, 0).mean(right) == Bootstrap(50, 0).mean(right.astype(np.float64))
    assert Bootstrap(50, 0).mean(right.astype(np.float32)) == Bootstrap(50, 0).mean(right)


def test_a_bias_of_the_resampled_values_is_taken_away():
    spread = np.random.default_rng(0).standard_normal(5000)
    interval = around(3.0, 3.0 + 50 + spread)
    assert interval["low"] == pytest.approx(3 - QUANTILE, abs=0.1)
    assert interval["high"] == pytest.approx(3 + QUANTILE, abs=0.1)


def test_a_skew_of_the_resampled_values_is_kept():
    interval = around(1.0, values(5000))
    assert interval["high"] - 1 > 2 * (1 - interval["low"])


@pytest.mark.parametrize("resampled", [[5.0] * 3, [5.0] * 99 + [-1000], [5.0] * 99 + [1000]])
def test_the_value_lies_within_whatever_was_resampled(resampled):
    interval = around(2.0, np.array(resampled))
    assert interval["low"] <= 2 <= interval["high"]


def test_a_statistic_is_given_the_counts_of_each_side():
    seen = []

    def of(a, b):
        seen.append((a, b))
        return 0.0

    Bootstrap(4, 5).statistic(0.0, (7, 9), of)
    for side, n in enumerate((7, 9)):
        np.testing.assert_array_equal([counts[side] for counts in seen], list(Bootstrap(4, 5).counts(n, side)))


def test_a_mean_as_a_statistic_has_the_interval_of_the_mean_but_for_its_shift():
    x, draw = values(300), Bootstrap(2000, 0)
    one, two = draw.mean(x), draw.statistic(x.mean(), (300,), lambda counts: counts @ x / 300)
    assert width(one) == pytest.approx(width(two), rel=1e-9)
    assert one["low"] == pytest.approx(two["low"], abs=0.05 * width(one))


def test_the_interval_of_a_frechet_distance_is_as_wide_as_the_spread_of_fresh_draws():
    """Although resampling moves the distance itself far out of the interval."""

    def draw(s, shift):
        return np.random.default_rng(s).standard_normal((200, 4)) + shift

    def of(s):
        return draw(s, 0.0), draw(10_000 + s, 0.3)

    fresh = [frechet_distance(*of(s)) for s in range(300)]
    widths = []
    for s in range(8):
        a, b = of(s)
        interval = Bootstrap(100, s).statistic(
            frechet_distance(a, b), (200, 200), lambda p, q, a=a, b=b: frechet(moments(a, p), moments(b, q))
        )
        widths.append(width(interval))
        assert interval["low"] <= frechet_distance(a, b) <= interval["high"]
    assert np.mean(widths) == pytest.approx(np.diff(np.quantile(fresh, (0.025, 0.975))).item(), rel=0.3)


def test_the_quantile_is_the_normals():
    assert pytest.approx(stats.norm.ppf(0.975), rel=1e-12) == QUANTILE
    assert normal(2.0, 0.0) == {"low": 2.0, "high": 2.0}
    assert normal(-1.0, 0.5) == pytest.approx({"low": -1 - QUANTILE / 2, "high": -1 + QUANTILE / 2})
