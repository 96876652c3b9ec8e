"""Student's and Welch's t, Hedges' g and Holm's correction: laws, hand computations and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from genbalance.experiments.statistics import compare, holm

SIZES = [(2, 2), (3, 3), (8, 8)]
UNEQUAL = [(2, 5), (5, 2), (3, 4), (9, 9)]


def groups(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(10, 1, n), rng.normal(11, 3, m)


def numbers(found):
    return [found.difference, found.low, found.high, found.p, found.effect]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_pairs_are_judged_as_scipy_judges_them(n, m):
    a, b = groups(n, m)
    found, reference = compare(a, b, paired=True), stats.ttest_rel(b, a)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), UNEQUAL)
def test_groups_of_other_seeds_are_judged_as_scipy_judges_them(n, m):
    a, b = groups(n, m)
    found, reference = compare(a, b, paired=False), stats.ttest_ind(b, a, equal_var=False)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-9)
    assert (found.sd_a, found.sd_b) == pytest.approx((a.std(ddof=1), b.std(ddof=1)), rel=1e-12)


def test_a_pairing_by_hand():
    found = compare(np.array([1.0, 2, 3]), np.array([3.0, 5, 7]), paired=True)  # differences 2, 3, 4
    half = 4.302652729911275 / math.sqrt(3)  # the table's t(0.975; 2)
    assert (found.mean_a, found.mean_b, found.sd_a, found.sd_b, found.difference) == (2, 5, 1, 2, 3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-9)
    assert found.p == pytest.approx(1 - math.sqrt(27 / 29), rel=1e-9)  # 1 − t/√(t² + 2) at t = 3√3
    assert found.effect == pytest.approx(math.sqrt(2) * math.gamma(1.5) ** -1 / 2 * 3 / math.sqrt(2.5), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), UNEQUAL)
def test_the_effect_is_hedges_g_with_the_published_approximation_of_its_correction(n, m):
    a, b = groups(n, m)
    freedom = n + m - 2
    pooled = math.sqrt(((n - 1) * a.var(ddof=1) + (m - 1) * b.var(ddof=1)) / freedom)
    approximate = (1 - 3 / (4 * freedom - 1)) * (b.mean() - a.mean()) / pooled
    assert compare(a, b, paired=False).effect == pytest.approx(approximate, rel=0.01)


def test_the_effect_is_unbiased_where_cohens_d_is_not():
    rng = np.random.default_rng(0)
    effects = [compare(rng.normal(0, 1, 4), rng.normal(1.5, 1, 4), paired=False).effect for _ in range(4000)]
    error = np.std(effects) / math.sqrt(len(effects))
    assert np.mean(effects) == pytest.approx(1.5, abs=3 * error)
    assert 5 * error < 1.5 / (1 - 3 / 23) - 1.5  # by which d would be off


@pytest.mark.parametrize("paired", [True, False])
def test_swapping_the_groups_changes_the_sign_alone(paired):
    a, b = groups(5, 5)
    found, swapped = compare(a, b, paired), compare(b, a, paired)
    assert numbers(swapped) == [-found.difference, -found.high, -found.low, found.p, -found.effect]
    assert (swapped.mean_a, swapped.sd_a, swapped.mean_b, swapped.sd_b) == (
        *(found.mean_b, found.sd_b),
        *(found.mean_a, found.sd_a),
    )


@pytest.mark.parametrize("paired", [True, False])
def test_a_shift_of_all_values_changes_no_difference(paired):
    a, b = groups(5, 5)
    assert numbers(compare(a - 37, b - 37, paired)) == pytest.approx(numbers(compare(a, b, paired)), rel=1e-9)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_another_unit_scales_the_difference_but_neither_its_p_nor_its_effect(paired, scale):
    a, b = groups(5, 5)
    found = compare(a, b, paired)
    expected = [scale * found.difference, scale * found.low, scale * found.high, found.p, found.effect]
    assert numbers(compare(scale * a, scale * b, paired)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m", "paired"), [(3, 3, True), (5, 5, True), (5, 5, False), (4, 8, False)])
def test_the_interval_covers_the_true_difference_in_95_of_100_experiments(n, m, paired):
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        shared = rng.normal(0, 5, n) if paired else 0  # what a seed does to both sides
        found = compare(rng.normal(1, 1, n) + shared, rng.normal(3, 2, m) + shared, paired)
        hits += found.low <= 2 <= found.high
    assert 0.93 <= hits / 2000 <= 0.97


def test_pairing_takes_away_what_the_seeds_share():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 5, 6)
    a, b = shared + rng.normal(0, 0.1, 6), shared + rng.normal(1, 0.1, 6)
    assert compare(a, b, paired=True).p < 1e-4 < 0.5 < compare(a, b, paired=False).p


def test_p_reaches_5_percent_where_the_interval_reaches_zero():
    a, b = groups(4, 6)
    at_the_edge = compare(a, b - compare(a, b, paired=False).low, paired=False)
    assert at_the_edge.low == pytest.approx(0, abs=1e-9)
    assert at_the_edge.p == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [([1.0], [3.0]), ([1.0], [2.0, 4.0]), ([0.0, 2.0], [3.0])])
def test_one_run_has_a_difference_and_no_interval(a, b):
    found = compare(np.array(a), np.array(b), paired=len(a) == len(b))
    assert numbers(found) == [2, None, None, None, None]
    assert (found.sd_a is None) == (len(a) == 1)
    assert (found.sd_b is None) == (len(b) == 1)


@pytest.mark.parametrize(("a", "b"), [([0.1] * 3, [0.3] * 3), ([0.3] * 3, [0.1] * 3)])
@pytest.mark.parametrize("paired", [True, False])
def test_a_difference_without_any_spread_is_certain(a, b, paired):
    found = compare(np.array(a), np.array(b), paired)
    assert found.low == found.high == found.difference == pytest.approx(b[0] - a[0])
    assert (found.sd_a, found.sd_b, found.p, found.effect) == (0, 0, 0, math.copysign(math.inf, b[0] - a[0]))


@pytest.mark.parametrize(("n", "m", "paired"), [(3, 3, True), (3, 3, False), (3, 2, False), (10, 7, False)])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3])
def test_equal_values_are_equal_whatever_their_sums_are_rounded_to(n, m, paired, value):
    assert numbers(compare(np.full(n, value), np.full(m, value), paired)) == [0, 0, 0, 1, 0]


def test_pairs_that_differ_by_one_number_have_no_spread_in_their_difference():
    a = np.array([0.1, 0.2, 0.3])
    found = compare(a, a + 0.1, paired=True)  # whose differences are not the same in binary
    assert found.low == found.high == pytest.approx(0.1)
    assert found.p == 0
    assert found.effect == pytest.approx(1 * math.gamma(2) / math.gamma(1.5) / math.sqrt(2), rel=1e-9)


def test_one_side_without_spread_leaves_the_other_sides_degrees_of_freedom():
    found, b = compare(np.full(7, 5.0), np.array([6.0, 7, 8]), paired=False), np.array([6.0, 7, 8])
    reference = stats.ttest_1samp(b, 5.0)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx([end - 5 for end in reference.confidence_interval(0.95)], rel=1e-9)


@pytest.mark.parametrize("size", [1e-60, 1e149])
@pytest.mark.parametrize("paired", [True, False])
def test_numbers_of_any_size_give_finite_numbers(size, paired):
    found = compare(np.array([1, 1 + 1e-15, 1]) * size, np.array([-5, -5, -5.5]) * size, paired)
    assert np.isfinite(numbers(found)).all()


@pytest.mark.parametrize(("n", "m", "paired"), [(0, 2, False), (2, 0, False), (0, 0, True), (1, 3, True)])
def test_empty_groups_and_unequal_pairs_are_refused(n, m, paired):
    with pytest.raises(ValueError, match="runs; allowed"):
        compare(np.ones(n), np.ones(m), paired)


def test_holm_on_an_example_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; the last is raised to the one before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_one_is_itself_of_none_is_none_and_never_above_one():
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
    assert holm([0.9, 0.8, 0.0, 1.0]) == [1, 1, 0, 1]


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(3)
    for _ in range(200):
        p = rng.uniform(0, 0.08, 7) ** 1.5
        rejected = set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (7 - step):
                break
            rejected.add(index)
        assert {i for i, adjusted in enumerate(holm(p)) if adjusted <= 0.05} == rejected


def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni():
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 1, 20)
    adjusted = np.array(holm(p))
    assert (np.diff(adjusted[p.argsort()]) >= 0).all()
    assert ((p <= adjusted) & (adjusted <= np.minimum(1, 20 * p))).all()
    order = rng.permutation(20)
    assert holm(p[order]) == list(adjusted[order])


def test_holm_keeps_false_alarms_of_the_whole_family_below_its_level():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(500):
        found = [compare(rng.normal(0, 1, 4), rng.normal(0, 1, 4), paired=True).p for _ in range(10)]
        alarms += min(holm(found)) <= 0.05
    assert alarms / 500 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)
