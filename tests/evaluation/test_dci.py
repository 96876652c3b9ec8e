"""Disentanglement, completeness and informativeness."""

import numpy as np
import pytest
from factors import grid, held, random_codes, turned

from genbalance.evaluation.dci import completeness, dci, disentanglement

FACTORS = grid((3, 4, 5), 25)
ROWS = np.random.default_rng(0).permutation(len(FACTORS))


def measured(codes, seed=0, factors=FACTORS):
    train, test = np.array_split(ROWS, 2)
    found = dci(codes[train], factors[train], codes[test], factors[test], np.random.default_rng(seed))
    assert list(found) == ["dci_disentanglement", "dci_completeness", "dci_informativeness"]
    return list(found.values())


def test_each_factor_in_a_latent_of_its_own_is_one_in_all_three():
    assert measured(FACTORS.astype(np.float32)) == pytest.approx([1, 1, 1], abs=1e-12)
    assert measured(np.concatenate([FACTORS, random_codes(len(FACTORS), 3)], axis=1)) == pytest.approx(
        [1, 1, 1], abs=0.01
    )


@pytest.mark.parametrize("latents", [random_codes(len(FACTORS), 6), np.zeros((len(FACTORS), 6))])
def test_latents_that_know_nothing_are_zero_and_chance(latents):
    assert measured(latents) == pytest.approx([0, 0, np.mean([1 / 3, 1 / 4, 1 / 5])], abs=0.04)


def test_latents_that_hold_two_factors_each_are_complete_and_not_disentangled():
    """And those of which two hold one factor in halves are disentangled and not complete."""
    one = (FACTORS[:, 0] * 4 + FACTORS[:, 1])[:, None]
    d, c, i = measured(one, factors=FACTORS[:, :2])
    assert (d, c, i) == (pytest.approx(0, abs=0.01), 1, 1)
    halves = np.stack([FACTORS[:, 1] // 2, FACTORS[:, 1] % 2, FACTORS[:, 2]], axis=1)
    d, c, i = measured(halves, factors=FACTORS[:, 1:])
    assert (d, i) == (pytest.approx(1, abs=0.01), 1)
    assert c < 0.8


def test_pairs_of_latents_turned_by_45_degrees_are_less_disentangled_and_complete():
    codes = held(FACTORS, noise=0.1)  # of three factors and one that is none of them
    plain, mixed = measured(codes), measured(turned(codes))
    assert all(one > other + 0.1 for one, other in zip(plain[:2], mixed[:2], strict=True))


def test_neither_the_order_nor_the_unit_of_latents_matters():
    codes = held(FACTORS, 0.6, 0.6)
    expected = measured(codes)
    assert measured(codes[:, ::-1]) == pytest.approx(expected, abs=0.01)
    assert measured(codes * np.array([1e-3, 1, 2, 1e3]) + np.arange(4)) == pytest.approx(expected, abs=0.01)
    assert measured(codes, seed=1) == pytest.approx(expected, abs=0.03)  # of forests
    assert measured(codes) == expected


SPREAD = np.array([[0.7, 0.1, 0], [0.2, 0.6, 0.1], [0.05, 0.2, 0.3], [0.05, 0.1, 0.6]])
HALVES = np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5], [0, 0, 0]])


def test_importances_have_the_closed_forms():
    for function in (disentanglement, completeness):
        assert function(np.eye(4)[:, [2, 0, 3, 1]]) == 1
        assert function(np.ones((5, 3))) == pytest.approx(0, abs=1e-12)
        assert function(np.zeros((5, 3))) == 0
    assert disentanglement(HALVES) == pytest.approx((1 + 2 * (1 - np.log(2) / np.log(3))) / 3)
    assert completeness(HALVES) == pytest.approx((1 + 2 * (1 - np.log(2) / np.log(4))) / 3)
    assert (disentanglement(np.ones((3, 1))), completeness(np.ones((1, 3)))) == (1, 1)


@pytest.mark.parametrize(
    ("importances", "d", "c"),
    [(SPREAD, 0.38101676624925646, 0.3128013185625448), (HALVES, 0.5793801639703656, 0.6666666662301877)],
    ids=["spread", "halves"],
)
def test_the_package_disent_0_8_0_has_the_same_of_the_same_importances(importances, d, c):
    assert (disentanglement(importances), completeness(importances)) == pytest.approx((d, c), rel=1e-6)
