"""How near a reconstruction comes to its original."""

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from genbalance.evaluation.judge import Reading
from genbalance.evaluation.reconstruction import (
    agreement,
    compare,
    mean_squared_error,
    peak_signal_to_noise,
    structural_similarity,
)


def images(n=5, side=28, seed=0):
    """Smooth blots in [0, 1]."""
    noise = np.random.default_rng(seed).random((n, side, side))
    for axis in (1, 2):
        noise = correlate1d(noise, np.ones(3) / 3, axis=axis)
    return ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)


def test_the_identity_has_no_error_a_hundred_decibels_and_similarity_one():
    assert compare(images(), images()) == {"mse": 0.0, "psnr": pytest.approx(100), "ssim": pytest.approx(1)}


@pytest.mark.parametrize(("offset", "decibels"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_a_known_error_has_known_decibels(offset, decibels):
    black = np.zeros((4, 8, 8), np.float32)
    assert mean_squared_error(black, black + np.float32(offset)) == pytest.approx(offset**2, rel=1e-6)
    assert peak_signal_to_noise(black, black + np.float32(offset)) == pytest.approx(decibels, abs=1e-4)


def test_decibels_are_averaged_over_images_and_not_taken_of_the_mean_error():
    black = np.zeros((2, 8, 8), np.float32)
    other = black + np.array([0.1, 0.01], np.float32)[:, None, None]
    assert peak_signal_to_noise(black, other) == pytest.approx(30, abs=1e-4)
    assert mean_squared_error(black, other) == pytest.approx((0.01 + 0.0001) / 2, rel=1e-5)


def test_every_measure_is_symmetric_and_worse_with_more_noise():
    a, noise = images(), np.random.default_rng(1).standard_normal((5, 28, 28)).astype(np.float32)
    results = [compare(a, (a + level * noise).clip(0, 1).astype(np.float32)) for level in (0.02, 0.1, 0.3)]
    for name, sign in (("mse", 1), ("psnr", -1), ("ssim", -1)):
        values = [sign * result[name] for result in results]
        assert values == sorted(values), name
        b = images(seed=2)
        assert compare(a, b)[name] == pytest.approx(compare(b, a)[name], rel=1e-5)


def reference_similarity(a, b):
    """Wang et al. 2004, equation 13, in float64, the borders mirrored."""
    at = np.arange(-5, 6)
    window = np.exp(-(at**2) / (2 * 1.5**2))
    window /= window.sum()

    def blurred(x):
        return correlate1d(correlate1d(x, window, axis=1, mode="mirror"), window, axis=2, mode="mirror")

    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()


@pytest.mark.parametrize("side", [8, 9, 11, 17, 28])
def test_similarity_is_the_papers_formula_with_its_window_of_11_at_every_size(side):
    a, b = images(side=side), images(side=side, seed=3)
    assert structural_similarity(a, b) == pytest.approx(reference_similarity(a, b), abs=1e-4)


def test_similarity_sees_structure_and_not_only_brightness():
    a = images()
    assert structural_similarity(a, 1 - a) < 0
    assert structural_similarity(a, np.full_like(a, a.mean())) < 0.5
    assert structural_similarity(a, a * np.float32(0.9)) > 0.95


def reading(classes):
    p = np.full((len(classes), 4), 0.1, np.float32)
    p[np.arange(len(classes)), classes] = 0.7
    return Reading(np.zeros((len(classes), 2), np.float32), p)


def test_agreement_is_the_share_of_images_read_the_same():
    assert agreement(reading([0, 1, 2, 3]), reading([0, 1, 2, 3])) == 1
    assert agreement(reading([0, 1, 2, 3]), reading([0, 1, 3, 2])) == 0.5
    assert agreement(reading([0, 0]), reading([1, 2])) == 0
