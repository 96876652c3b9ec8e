"""What a discriminator still tells apart."""

import numpy as np
import pytest

from genbalance.evaluation.discrimination import ranked, right


def test_a_perfect_discriminator_is_always_right_and_a_swapped_one_never():
    real, generated = np.array([0.1, 3.0]), np.array([-2.0, -0.1, -5.0])
    assert all(side.all() for side in right(real, generated))
    assert not any(side.any() for side in right(generated, real))
    assert (ranked(real, generated), ranked(generated, real)) == (1, 0)


def test_a_threshold_that_drifts_changes_who_is_right_but_not_the_ranking():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(0.5, 1, 300), rng.normal(-0.5, 1, 200)
    before, after = right(real, generated), right(real - 2, generated - 2)
    assert after[0].mean() < before[0].mean()
    assert after[1].mean() > before[1].mean()
    assert ranked(real - 2, generated - 2) == ranked(real, generated)


def test_the_ranking_is_the_share_of_pairs_in_which_the_real_image_wins_ties_counting_half():
    rng = np.random.default_rng(1)
    real, generated = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    wins = (real[:, None] > generated).mean() + (real[:, None] == generated).mean() / 2
    assert ranked(real, generated) == pytest.approx(wins, rel=1e-12)
    assert ranked(real, real) == 0.5
