"""How far a VAE's codes are from the prior."""

import math

import numpy as np
import pytest

from genbalance.evaluation.mmd import prior_discrepancy


def normal(n=120, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def by_definition(x, y):
    """The double sums, pair by pair."""
    d = x.shape[1]

    def kernel(p, q):
        distance = float(np.square(p - q).sum())
        return sum(2 * d * scale / (2 * d * scale + distance) for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10))

    within = [
        sum(kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j) / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    return within[0] + within[1] - 2 * sum(kernel(p, q) for p in x for q in y) / (len(x) * len(y))


@pytest.mark.parametrize(("n", "m", "d"), [(30, 30, 5), (20, 35, 1), (8, 3, 40)])
def test_it_is_the_double_sum_of_its_definition(n, m, d):
    x, y = normal(n, d, 1) * 0.7 + 0.4, normal(m, d, 2)
    assert prior_discrepancy(x, y) == pytest.approx(by_definition(x, y), rel=1e-9)


def test_more_codes_than_a_block_holds_are_all_counted():
    """Against NumPy's own matrix of all pairs."""
    x, y = normal(700, 3, 1) + 0.5, normal(300, 3, 2)

    def kernels(p, q):
        distances = np.square(p[:, None] - q).sum(axis=2)
        return sum(6 * scale / (6 * scale + distances) for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10))

    within = [(kernels(z, z).sum() - 7 * len(z)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    assert prior_discrepancy(x, y) == pytest.approx(sum(within) - 2 * kernels(x, y).mean(), rel=1e-9)


def test_equal_distributions_have_none_in_expectation():
    values = [prior_discrepancy(normal(40, 4, s), normal(40, 4, 1000 + s)) for s in range(300)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0
    with_themselves = 7 / 40 * (1 - 0.7)  # what pairs of a code with itself would have added, at the least
    assert with_themselves > 10 * error


@pytest.mark.parametrize("change", [lambda x, by: x + by, lambda x, by: x * (1 + by), lambda x, by: x / (1 + by)])
def test_it_grows_with_a_shift_and_with_a_wrong_spread(change):
    x, prior = normal(300, 5, 1), normal(300, 5, 2)
    values = [prior_discrepancy(change(x, by), prior) for by in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert values[1] > 10 * abs(values[0])


def test_codes_of_two_far_clusters_are_not_the_prior_although_their_moments_are():
    signs = np.where(np.arange(300) % 2, 1, -1)[:, None]
    clusters = np.sqrt(0.9) * signs + np.sqrt(0.1) * normal(300, 1, 1)
    floor = prior_discrepancy(normal(300, 1, 3), normal(300, 1, 2))
    assert prior_discrepancy(clusters, normal(300, 1, 2)) > 10 * abs(floor)


def test_it_is_symmetric_and_blind_to_order_and_to_axes():
    x, y = normal(60, 5, 1) + 0.3, normal(50, 5, 2)
    turn = np.linalg.qr(normal(5, 5, 3))[0]
    expected = pytest.approx(prior_discrepancy(x, y), rel=1e-9)
    assert prior_discrepancy(y, x) == expected
    assert prior_discrepancy(x[::-1], y) == expected
    assert prior_discrepancy(x @ turn, y @ turn) == expected


def test_single_precision_is_measured_in_double():
    x, y = (normal(60, 5, s).astype(np.float32) for s in (1, 2))
    assert prior_discrepancy(x, y) == pytest.approx(prior_discrepancy(x.astype(float), y.astype(float)), rel=1e-9)


@pytest.mark.parametrize("code", [0.0, 3.0, 1e6])
def test_codes_that_are_all_equal_are_at_a_finite_distance(code):
    collapsed = np.full((50, 4), code)
    assert 0 < prior_discrepancy(collapsed, normal(50, 4)) < 14
    assert prior_discrepancy(collapsed, collapsed) == pytest.approx(0, abs=1e-12)
