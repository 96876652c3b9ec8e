"""Integrated gradients and occlusion, against closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import nn

from genbalance.evaluation.attribution import agreement, integrated_gradients, occlusion, patch_side
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.runtime.device import initialised

CPU = torch.device("cpu")
SHAPES = [(1, 28, 28), (3, 20, 29), (1, 8, 8)]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_of_a_linear_score_both_are_known_and_agree_wholly(shape):
    weights, baseline, images = drawn(*shape, seed=1), drawn(*shape, seed=2), drawn(4, *shape)

    def score(x):
        return (weights * x).flatten(1).sum(dim=1) + 3

    maps, errors = integrated_gradients(score, images, baseline)
    expected = weights * (images - baseline)
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-4)
    assert errors.abs().max() < 1e-3
    lost = occlusion(score, images, baseline)
    side = patch_side(images)
    corner = expected[:, :, :side, :side].flatten(1).sum(dim=1)
    torch.testing.assert_close(lost[:, 0, 0, 0], corner, atol=1e-4, rtol=1e-4)
    assert agreement(maps, lost, images, baseline) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_quadratic_score_is_split_by_the_closed_form():
    """F = Σ x²: the integral along the line from 0 is x² of each pixel."""
    images = drawn(3, 1, 8, 8)
    maps, errors = integrated_gradients(lambda x: x.square().flatten(1).sum(dim=1), images, torch.zeros(1, 8, 8))
    torch.testing.assert_close(maps, images.square(), atol=1e-5, rtol=1e-4)
    assert errors.abs().max() < 1e-4


def test_a_pixel_that_is_as_in_the_baseline_has_nothing():
    images = drawn(2, 1, 8, 8)
    images[:, :, :4] = 0.5
    maps, _ = integrated_gradients(lambda x: x.flatten(1).prod(dim=1).sin(), images, torch.full((1, 8, 8), 0.5))
    assert not maps[:, :, :4].any()


def networks():
    gan = initialised(lambda: Gan("dcgan", [1, 28, 28], 8, 8, 5), 0, "gan", CPU).eval()
    nn.init.normal_(gan.discriminator.embedding.weight, generator=torch.Generator().manual_seed(0))
    classifier = initialised(lambda: Classifier([1, 28, 28], 10, 8), 0, "classifier", CPU).eval()
    return {
        "discriminator": (gan.discriminator, (torch.tensor([0, 1, 4]),)),
        "classifier": (lambda x: classifier(x)[:, 3] - classifier(x)[:, 5], ()),
    }


@pytest.mark.parametrize("name", ["discriminator", "classifier"])
def test_the_sums_of_maps_are_what_the_score_differs_from_that_of_the_baseline(name):
    score, given = networks()[name]
    images, baseline = drawn(3, 1, 28, 28).tanh(), -torch.ones(1, 28, 28)
    maps, errors = integrated_gradients(score, images, baseline, *given)
    with torch.no_grad():
        difference = score(images, *given) - score(baseline.expand(3, -1, -1, -1), *given)
    assert difference.abs().min() > 1e-3
    torch.testing.assert_close(maps.flatten(1).sum(dim=1) - difference, errors, atol=1e-4, rtol=1e-3)
    assert errors.abs().max() < 0.02 * difference.abs().max()


def test_each_image_has_its_own_condition():
    score, given = networks()["discriminator"]
    images, baseline = drawn(3, 1, 28, 28).tanh(), -torch.ones(1, 28, 28)
    for method in (lambda *it: integrated_gradients(*it)[0], occlusion):
        whole = method(score, images, baseline, *given)
        last = method(score, images[2:], baseline, given[0][2:])
        torch.testing.assert_close(whole[2:], last, atol=1e-5, rtol=1e-3)
        assert not torch.allclose(last, method(score, images[2:], baseline, given[0][:1]))


def test_what_is_equal_to_the_baseline_counts_for_no_agreement():
    images, baseline = torch.zeros(1, 1, 28, 28), torch.zeros(1, 28, 28)
    images[:, :, 4:12, 4:12] = 1  # four patches of 4 × 4
    maps, lost = drawn(1, 1, 28, 28, seed=1), drawn(1, 1, 28, 28, seed=2)
    square = (slice(None), slice(None), slice(4, 12), slice(4, 12))
    sums = [it[square].unfold(2, 4, 4).unfold(3, 4, 4).sum(dim=(4, 5)).flatten().numpy() for it in (maps, lost)]
    assert agreement(maps, lost, images, baseline) == pytest.approx([pearsonr(*sums).statistic], abs=1e-5)


def test_maps_of_opposite_signs_disagree_and_of_nothing_there_is_no_number():
    images, baseline = drawn(2, 1, 8, 8), torch.zeros(1, 8, 8)
    maps = drawn(2, 1, 8, 8, seed=1)
    assert agreement(maps, -maps, images, baseline) == pytest.approx([-1, -1], abs=1e-5)
    assert np.isnan(agreement(maps, maps, torch.zeros_like(images), baseline)).all()
    assert np.isnan(agreement(maps, torch.zeros_like(maps), images, baseline)).all()
