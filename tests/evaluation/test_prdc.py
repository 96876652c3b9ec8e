"""Precision, recall, density, coverage: their direction, and the reference."""

import numpy as np
import pytest
from prdc import compute_prdc

from genbalance.evaluation import neighbours
from genbalance.evaluation.prdc import prdc
from genbalance.runtime.errors import UserError

NAMES = ("precision", "recall", "density", "coverage")


def modes(n, which=range(4), spread=1.0, seed=0):
    """Points about corners that lie far apart."""
    rng = np.random.default_rng(seed)
    centres = 20 * np.eye(8)[list(which)]
    return (centres[rng.integers(0, len(centres), n)] + spread * rng.standard_normal((n, 8))).astype(np.float32)


def means(real, generated, k=5):
    values = prdc(real, generated, k)
    return {name: getattr(values, name).mean() for name in NAMES}


@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (150, 300, 3), (300, 70, 1)])
@pytest.mark.parametrize("block", [64, 1024])
def test_all_four_are_those_of_the_reference(monkeypatch, n, m, k, block):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    real, generated = modes(n), modes(m, which=[0, 1, 2], spread=1.3, seed=1)
    expected = compute_prdc(real, generated, k)
    for name, value in means(real, generated, k).items():
        assert value == pytest.approx(expected[name], rel=1e-6), name
        assert value > 0


def test_as_many_values_as_images():
    values = prdc(modes(50), modes(30, seed=1), 3)
    assert [len(getattr(values, name)) for name in NAMES] == [30, 50, 30, 50]


def test_dropped_modes_cost_recall_and_coverage_but_not_precision():
    real = modes(400)
    found = [means(real, modes(400, which=range(kept), seed=1)) for kept in (4, 3, 2, 1)]
    for name in ("recall", "coverage"):
        values = [m[name] for m in found]
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.4 < 0.8 < values[0]
    assert min(m["precision"] for m in found) > 0.8


def test_noise_costs_precision_and_density_but_recall_far_less():
    real = modes(400)
    noisy = np.concatenate([modes(200, seed=1), modes(200, spread=8, seed=2)])
    clean, found = means(real, modes(400, seed=1)), means(real, noisy)
    assert found["precision"] < 0.65 * clean["precision"]
    assert found["density"] < 0.65 * clean["density"]
    assert found["recall"] > 0.9 * clean["recall"]


def test_real_and_generated_change_places_with_precision_and_recall():
    real, generated = modes(200), modes(200, which=[0, 1], spread=1.5, seed=1)
    one, other = means(real, generated), means(generated, real)
    assert one["precision"] == other["recall"]
    assert one["recall"] == other["precision"]


def test_one_outlier_spoils_recall_but_not_density():
    real = modes(300)
    lonely = np.concatenate([modes(299, which=[0], seed=1), np.full((1, 8), 200, np.float32)])
    again = np.concatenate([modes(299, which=[0], seed=1), modes(1, which=[0], seed=3)])
    # five neighbours keep one point's ball from reaching all, but not the ball of a real outlier
    assert means(real, lonely)["density"] == pytest.approx(means(real, again)["density"], rel=0.02)
    assert means(lonely, real)["precision"] > means(again, real)["precision"]


def test_fresh_real_points_get_density_one():
    assert means(modes(500), modes(500, seed=1))["density"] == pytest.approx(1, abs=0.1)


def test_equal_points_give_finite_numbers():
    point = np.ones((40, 8), np.float32)
    assert means(modes(40), point)["recall"] == 0
    assert means(point, point) == dict.fromkeys(NAMES, 0)


def test_copies_of_the_real_images_get_one_of_all_four():
    real = modes(300)
    # an image on a ball's surface is not inside, so that the density is 1 and not more however distances are rounded
    assert means(real, real[::-1]) == compute_prdc(real, real, 5) == dict.fromkeys(NAMES, 1.0)


@pytest.mark.parametrize("offset", [0.0, 0.1, 7.3])
def test_on_a_grid_full_of_ties_they_are_those_of_the_reference(offset):
    rng = np.random.default_rng(1)
    real, generated = rng.integers(0, 3, (300, 4)).astype(float), rng.integers(0, 3, (250, 4)).astype(float)
    expected = {name: float(value) for name, value in compute_prdc(real, generated, 5).items()}
    assert means(real + offset, generated + offset) == pytest.approx(expected, rel=1e-12)


def test_every_value_stays_with_its_image():
    real, generated, order = modes(90), modes(70, seed=1), np.random.default_rng(3).permutation(70)
    plain, shuffled = prdc(real, generated, 3), prdc(real, generated[order], 3)
    for name in ("precision", "density"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(plain, name)[order])
    for name in ("recall", "coverage"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(plain, name))
    np.testing.assert_array_equal(plain.precision, plain.density > 0)
    assert {getattr(plain, name).dtype for name in NAMES} == {np.dtype(np.float64)}
    np.testing.assert_allclose(plain.density * 3, np.round(plain.density * 3), rtol=1e-12)


def test_turning_scaling_and_moving_both_sets_changes_nothing():
    real, generated = modes(200), modes(200, which=[0, 1], spread=1.5, seed=1)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))[0]
    assert means(3 * real @ turn + 5, 3 * generated @ turn + 5) == means(real, generated)


@pytest.mark.parametrize(("n", "m"), [(5, 30), (30, 5)])
def test_a_set_without_k_neighbours_is_refused(n, m):
    with pytest.raises(UserError, match="found 5 among 5 points; allowed: 1 … 4"):
        prdc(modes(n), modes(m, seed=1), 5)
