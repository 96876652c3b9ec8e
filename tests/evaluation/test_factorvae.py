"""The FactorVAE score."""

import numpy as np
import pytest
from factors import grid, held, random_codes, turned

from genbalance.evaluation.factorvae import factor_vae_score

FACTORS = grid((3, 4, 5, 6))
ROWS = np.random.default_rng(0).permutation(len(FACTORS))


def score(codes, factors=FACTORS, seed=0):
    train, test = np.array_split(ROWS[: len(factors)], 2) if factors is FACTORS else (slice(None), slice(None))
    rng = np.random.default_rng(seed)
    return factor_vae_score(codes[train], factors[train], codes[test], factors[test], rng)


def test_each_factor_in_a_latent_of_its_own_is_one():
    codes = FACTORS.astype(np.float32)
    assert score(codes) == 1
    assert score(np.concatenate([codes, random_codes(len(codes), 6), np.ones_like(codes)], axis=1)) == 1


def test_two_latents_that_hold_one_factor_are_no_fault():
    assert score(np.repeat(FACTORS, 2, axis=1)) == 1


def test_latents_that_know_nothing_are_at_chance_and_those_that_never_vary_at_zero():
    assert score(random_codes(len(FACTORS), 10)) == pytest.approx(1 / 4, abs=0.03)
    assert score(np.full((len(FACTORS), 10), 0.1)) == 0


def test_a_factor_that_no_latent_holds_is_missed():
    """Its votes fall on the latents of the others or of noise, and where noise has a latent it is the answer."""
    assert score(FACTORS[:, :3].astype(float)) == pytest.approx(3 / 4, abs=0.02)
    assert score(np.concatenate([FACTORS[:, :3], random_codes(len(FACTORS), 1)], axis=1)) > 0.8


def test_pairs_of_latents_turned_by_45_degrees_have_less():
    assert score(turned(held(FACTORS, noise=0.1)[:, :4])) < 0.7


def test_neither_the_order_nor_the_unit_of_latents_matters():
    codes = held(FACTORS, 0.9, 0.6)
    expected = score(codes)
    assert 0.3 < expected < 0.9
    assert score(codes[:, ::-1]) == pytest.approx(expected, abs=1e-3)
    assert score(codes * np.array([1e-3, -1, 2, 1e3, 5]) + np.arange(5)) == pytest.approx(expected, abs=1e-3)
    assert score(codes, seed=1) == pytest.approx(expected, abs=0.04)
    assert score(codes) == expected


@pytest.mark.parametrize(
    ("mix", "amount", "expected"), [(0.6, 0.6, 0.9990), (1, 0.6, 0.5306), (1, 2, 0.4174), (1, 4, 0.3224)]
)
def test_the_package_disent_0_8_0_measured_as_much_with_5000_votes_of_its_own(mix, amount, expected):
    assert score(held(grid(), mix, amount), grid()) == pytest.approx(expected, abs=0.03)
