"""The separated attribute predictability."""

import numpy as np
import pytest
from factors import grid, held, random_codes, turned

from genbalance.evaluation.sap import separated_attribute_predictability

COUNTS = (3, 4, 5, 6)
FACTORS = grid(COUNTS)
ROWS = np.random.default_rng(0).permutation(len(FACTORS))


def sap(codes, factors=FACTORS, rows=ROWS):
    train, test = np.array_split(rows, 2)
    return separated_attribute_predictability(codes[train], factors[train], codes[test], factors[test])


def test_each_factor_in_a_latent_of_its_own_is_one_less_chance():
    expected = np.mean(1 - 1 / np.array(COUNTS))
    codes = FACTORS.astype(np.float32)
    assert sap(np.concatenate([codes, np.zeros_like(codes)], axis=1)) == pytest.approx(expected, abs=0.02)
    assert sap(np.concatenate([codes, codes], axis=1)) == 0


def test_a_single_latent_is_compared_with_chance():
    assert sap(FACTORS[:, :1].astype(float), FACTORS[:, :1]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("codes", [random_codes(len(FACTORS), 10), np.zeros((len(FACTORS), 3))])
def test_latents_that_know_nothing_are_zero(codes):
    assert sap(codes) == pytest.approx(0, abs=0.02)


def test_every_value_of_a_factor_counts_alike():
    """Of a factor nine in ten rows of which have one value, thresholds between the two find both alike."""
    factor = (np.arange(6000) % 10 == 0).astype(np.int64)
    code = factor + random_codes(6000, 1)[:, 0]  # Φ(½) of each value lies on its side of the middle
    assert sap(code[:, None], factor[:, None], np.arange(6000)) == pytest.approx(0.6915 - 0.5, abs=0.03)


def test_pairs_of_latents_turned_by_45_degrees_have_less():
    codes = held(FACTORS, noise=0.1)[:, :4]
    assert sap(turned(codes)) < 0.2 < 0.6 < sap(codes)


def test_neither_the_order_nor_the_unit_of_latents_matters():
    codes = held(FACTORS, 0.6, 0.6)
    expected = sap(codes)
    assert 0.1 < expected < 0.9
    assert sap(codes[:, ::-1]) == pytest.approx(expected)
    assert sap(codes * np.array([1e-3, -1, 2, 1e3, 5]) + np.arange(5)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("amount", "expected"), [(0.2, 0.4990), (0.6, 0.4396), (1.5, 0.2214)])
def test_the_package_disent_0_8_0_measured_as_much_of_factors_with_two_values(amount, expected):
    """Its line of a support vector machine is then a threshold, too, at nearly the same place."""
    factors = grid((2, 2, 2, 2), 60)
    assert sap(held(factors, 0, amount), factors, np.arange(len(factors))) == pytest.approx(expected, abs=0.01)
