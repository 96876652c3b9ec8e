"""How near a reconstruction comes to its original."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure

from genbalance.data.pixels import UNIT
from genbalance.evaluation import reconstruction
from genbalance.evaluation.features import FeatureExtractor, Features
from genbalance.evaluation.frechet import frechet_distance
from genbalance.evaluation.reconstruction import (
    measure_reconstructions,
    peak_signal_to_noise,
    same_class,
    squared_error,
    structural_similarity,
)


def images(n=5, side=28, seed=0):
    """Smooth blots in [0, 1]."""
    noise = np.random.default_rng(seed).random((n, side, side))
    for axis in (1, 2):
        noise = correlate1d(noise, np.ones(3) / 3, axis=axis)
    return ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)


MEASURES = {"mse": squared_error, "psnr": peak_signal_to_noise, "ssim": structural_similarity}


def test_the_identity_has_no_error_a_hundred_decibels_and_similarity_one():
    assert squared_error(images(), images()).tolist() == [0] * 5
    assert peak_signal_to_noise(images(), images()) == pytest.approx([100] * 5)
    assert structural_similarity(images(), images()) == pytest.approx([1] * 5)


@pytest.mark.parametrize(("offset", "decibels"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_a_known_error_has_known_decibels(offset, decibels):
    black = np.zeros((4, 8, 8), np.float32)
    assert squared_error(black, black + np.float32(offset)) == pytest.approx([offset**2] * 4, rel=1e-6)
    assert peak_signal_to_noise(black, black + np.float32(offset)) == pytest.approx([decibels] * 4, abs=1e-4)


def test_the_error_is_a_mean_over_all_pixels():
    one, other = np.zeros((2, 4, 8), np.float32), np.zeros((2, 4, 8), np.float32)
    other[0, 1, 2], other[1, 3, 4:6] = 0.5, 1
    assert squared_error(one, other).tolist() == [0.25 / 32, 2 / 32]


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("n", [1, 5])
def test_every_image_has_a_value_of_its_own(name, n):
    a, b = images(n), images(n, seed=2)
    values = MEASURES[name](a, b)
    assert values.shape == (n,)
    assert values.dtype == np.float64
    alone = [MEASURES[name](a[i : i + 1], b[i : i + 1]).item() for i in range(n)]
    assert values == pytest.approx(alone, rel=1e-5)
    assert len(set(values.tolist())) == n


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_symmetric_and_worse_with_more_noise(name):
    a, noise = images(), np.random.default_rng(1).standard_normal((5, 28, 28)).astype(np.float32)
    noisy = [(a + level * noise).clip(0, 1).astype(np.float32) for level in (0.02, 0.1, 0.3)]
    values = [MEASURES[name](a, b) for b in noisy]
    sign = 1 if name == "mse" else -1
    assert (sign * np.diff(values, axis=0) > 0).all()
    b = images(seed=2)
    assert MEASURES[name](a, b) == pytest.approx(MEASURES[name](b, a), rel=1e-5)


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
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean(axis=(1, 2))


@pytest.mark.parametrize("side", [8, 9, 11, 17, 28])
def test_similarity_is_the_papers_formula_with_its_window_of_11_at_every_size(side):
    a, b = images(side=side), images(side=side, seed=3)
    assert structural_similarity(a, b) == pytest.approx(reference_similarity(a, b), abs=1e-4)


def test_similarity_is_what_torchmetrics_makes_of_the_same_images():
    a, b = images(), images(seed=3)
    theirs = structural_similarity_index_measure(
        torch.from_numpy(b)[:, None], torch.from_numpy(a)[:, None], data_range=1.0, reduction="none"
    )
    assert structural_similarity(a, b) == pytest.approx(theirs.numpy(), rel=1e-6)


def test_similarity_sees_structure_and_not_only_brightness():
    a = images()
    assert (structural_similarity(a, 1 - a) < 0).all()
    assert (structural_similarity(a, np.full_like(a, a.mean())) < 0.5).all()
    assert (structural_similarity(a, a * np.float32(0.9)) > 0.95).all()


def reading(classes):
    p = np.full((len(classes), 4), 0.1, np.float32)
    p[np.arange(len(classes)), classes] = 0.7
    return Features(np.zeros((len(classes), 2), np.float32), p)


def test_an_image_agrees_where_it_is_read_the_same():
    same = same_class(reading([0, 1, 2, 3]), reading([0, 1, 3, 3]))
    assert same.dtype == bool
    assert same.tolist() == [True, True, False, True]


class Brightness(nn.Module):
    """Two classes: dark and bright."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)
        nn.init.zeros_(self.head.bias)
        self.head.weight.data.copy_(torch.tensor([[-9.0], [9.0]]))

    def features(self, x):
        return x.flatten(1).mean(dim=1, keepdim=True) - 0.5


EXTRACTOR = FeatureExtractor(Brightness(), UNIT, torch.device("cpu"))


def test_each_image_has_its_own_values_in_every_measure():
    originals = np.zeros((3, 8, 8), np.uint8)
    rebuilt = np.zeros((3, 8, 8), np.float32) + np.array([0.1, 0.01, 0.9], np.float32)[:, None, None]
    found = measure_reconstructions(originals, rebuilt.__getitem__, EXTRACTOR)
    assert list(found.each) == ["mse", "psnr", "ssim", "classifier_agreement"]
    assert found.each["mse"] == pytest.approx([0.01, 0.0001, 0.81], rel=1e-5)
    assert found.each["psnr"] == pytest.approx([20, 40, -20 * np.log10(0.9)], abs=1e-4)
    black = np.zeros((3, 8, 8), np.float32)
    assert found.each["ssim"] == pytest.approx(reference_similarity(black, rebuilt), abs=1e-4)
    assert found.each["classifier_agreement"].tolist() == [True, True, False]


def test_the_classifier_reads_the_rounded_images_that_are_kept():
    originals = (255 * images()).astype(np.uint8)
    found = measure_reconstructions(originals, images(seed=1).__getitem__, EXTRACTOR)
    np.testing.assert_array_equal(found.images, (images(seed=1) * 255).round().astype(np.uint8))
    np.testing.assert_array_equal(found.after.features, EXTRACTOR.read(found.images).features)
    np.testing.assert_array_equal(found.before.features, EXTRACTOR.read(originals).features)
    assert found.frechet_distance == frechet_distance(found.after.features, found.before.features) > 0


@pytest.mark.parametrize(("block", "values"), [(2, 2**21), (500, 2 * 784 + 1)])
def test_reconstructions_are_made_and_scored_block_by_block(block, values, monkeypatch):
    originals, rebuilt, asked = (255 * images(7)).astype(np.uint8), images(7, seed=1), []
    monkeypatch.setattr(reconstruction, "BLOCK", block)
    monkeypatch.setattr("genbalance.evaluation.features.VALUES", values)
    found = measure_reconstructions(originals, lambda rows: asked.append(rows) or rebuilt[rows], EXTRACTOR)
    assert [len(rebuilt[rows]) for rows in asked] == [2, 2, 2, 1]
    for name, measure in MEASURES.items():
        np.testing.assert_array_equal(found.each[name], measure(UNIT.encode(originals), rebuilt))
    np.testing.assert_array_equal(found.images, UNIT.to_uint8(rebuilt))


def test_pixels_that_are_stored_pixels_have_no_error():
    """What an inversion draws is rounded before it is compared."""
    originals = (255 * images()).astype(np.uint8)
    found = measure_reconstructions(originals, UNIT.encode(originals).__getitem__, EXTRACTOR)
    np.testing.assert_array_equal(found.images, originals)
    assert found.each["mse"].tolist() == [0] * 5
    assert found.frechet_distance == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("values", [(0, 0), (255, 255), (0, 255), (76, 76)])
def test_blank_images_have_finite_values(values):
    one, other = (np.full((3, 9, 9), value, np.uint8) for value in values)
    found = measure_reconstructions(one, UNIT.encode(other).__getitem__, EXTRACTOR)
    for name, values_of_images in found.each.items():
        assert np.isfinite(values_of_images).all(), name
        assert len(set(values_of_images.tolist())) == 1
