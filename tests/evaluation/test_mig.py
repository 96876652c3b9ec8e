"""The mutual information gap."""

import numpy as np
import pytest
from factors import grid, held, random_codes, turned

from genbalance.evaluation.mig import mutual_information_gap as mig

FACTORS = grid((3, 4, 5, 6))


def test_each_factor_in_a_latent_of_its_own_is_one():
    assert mig(FACTORS.astype(np.float32), FACTORS) == pytest.approx(1, abs=1e-12)
    assert mig(np.concatenate([FACTORS, np.zeros_like(FACTORS)], axis=1), FACTORS) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "codes", [random_codes(len(FACTORS), 10), np.zeros((len(FACTORS), 3)), np.repeat(FACTORS, 2, axis=1)]
)
def test_latents_that_know_nothing_or_two_that_know_all_are_zero(codes):
    assert mig(codes, FACTORS) == pytest.approx(0, abs=0.01)


def test_a_latent_that_knows_half_of_a_factor_more_than_another_one_is_a_half():
    """Of the two bits of a factor one latent has both, the other one, and the next pair none and one."""
    factor = grid((4,))[:, 0]
    both, one = factor, factor // 2
    assert mig(np.stack([both, one], axis=1), factor[:, None]) == pytest.approx(0.5)
    assert mig(np.stack([np.zeros_like(one), one], axis=1), factor[:, None]) == pytest.approx(0.5)
    assert mig(one[:, None], factor[:, None]) == pytest.approx(0.5)  # of a single latent


def test_pairs_of_latents_turned_by_45_degrees_have_less():
    codes = held(FACTORS, noise=0.1)[:, :4]
    assert mig(turned(codes), FACTORS) < 0.2 < 0.8 < mig(codes, FACTORS)


def test_neither_the_order_nor_the_unit_of_latents_matters():
    codes = held(FACTORS, 0.6, 0.6)
    expected = mig(codes, FACTORS)
    assert 0.1 < expected < 0.9
    assert mig(codes[:, ::-1], FACTORS) == pytest.approx(expected)
    assert mig(codes * np.array([1e-3, -1, 2, 1e3, 5]) + np.arange(5), FACTORS) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("mix", "amount", "expected"), [(0, 0.6, 0.3765883680021758), (0.6, 0.2, 0.328911484195012),
                                    (0.6, 1, 0.16624594613699734)]
)  # fmt: skip
def test_the_package_disent_0_8_0_measured_the_same(mix, amount, expected):
    assert mig(held(grid(), mix, amount), grid()) == pytest.approx(expected, rel=1e-6)
