"""How well a discriminator separates real from generated images."""

import numpy as np
import pytest

from genbalance.evaluation.discriminator import accuracies, auc


def test_a_perfect_discriminator_is_always_right_and_a_swapped_one_never():
    real, generated = np.array([0.1, 3.0]), np.array([-2.0, -0.1, -5.0])
    assert all(side.all() for side in accuracies(real, real, generated).values())
    assert not any(side.any() for side in accuracies(generated, generated, real).values())
    assert (auc(real, generated), auc(generated, real)) == (1, 0)


def test_each_set_has_its_own_accuracy():
    found = accuracies(np.array([1.0, 2.0]), np.array([1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, 1.0]))
    assert {name: values.mean() for name, values in found.items()} == pytest.approx(
        {"d_accuracy_train": 1, "d_accuracy_test": 1 / 3, "d_accuracy_generated": 1 / 4}
    )


def test_a_threshold_that_drifts_changes_the_accuracies_but_not_the_auc():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(0.5, 1, 300), rng.normal(-0.5, 1, 200)
    before, after = accuracies(real, real, generated), accuracies(real - 2, real - 2, generated - 2)
    assert after["d_accuracy_test"].mean() < before["d_accuracy_test"].mean()
    assert after["d_accuracy_generated"].mean() > before["d_accuracy_generated"].mean()
    assert auc(real - 2, generated - 2) == auc(real, generated)


def test_the_auc_is_the_share_of_pairs_in_which_the_real_image_wins_ties_counting_half():
    rng = np.random.default_rng(1)
    real, generated = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    wins = (real[:, None] > generated).mean() + (real[:, None] == generated).mean() / 2
    assert auc(real, generated) == pytest.approx(wins, rel=1e-12)
    assert auc(real, real) == 0.5
