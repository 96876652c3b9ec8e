"""The discretized logistic mixture: probabilities that sum to one, and the formulas of the paper, slowly."""

import itertools
import math

import numpy as np
import pytest
import torch

from genbalance.models.vae.likelihoods import LIKELIHOODS
from genbalance.models.vae.logistic_mixture import DiscretizedLogisticMixture

K = 3
LEVELS = torch.arange(256).double() / 255


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def mixture(batch, channels, height=1, width=1, log_scale=-1.5, seed=0):
    """Components here and there, some beyond the ends."""
    logits, means, log_scales, coupling = (
        randn(batch, *parameters, K, height, width, seed=seed + place)
        for place, parameters in enumerate([(), (channels,), (channels,), (channels * (channels - 1) // 2,)])
    )
    return DiscretizedLogisticMixture(logits, 0.8 * means, log_scale + 0.7 * log_scales, coupling.tanh())


def rows(made, batch):
    """The same distribution, for each of so many images."""
    parameters = (made.logits, made.means, made.log_scales, made.coupling)
    return DiscretizedLogisticMixture(*(each.expand(batch, *each.shape[1:]) for each in parameters))


def sigmoid(t):
    return 1 / (1 + math.exp(-t)) if t > -700 else 0.0


def slowly(made, image, row):
    """Log p of one image [C, H, W] of levels 0 … 255: equation 2 and section 2.2, number by number."""
    channels, height, width = image.shape
    total = 0.0
    for y, x in itertools.product(range(height), range(width)):
        logits = made.logits[row, :, y, x].tolist()
        normalizer = sum(map(math.exp, logits))
        pixel = 0.0
        for k in range(K):
            product, values, pair = math.exp(logits[k]) / normalizer, [], 0
            for c in range(channels):
                level, mean = int(image[c, y, x]), made.means[row, c, k, y, x].item()
                for value in values:
                    mean += made.coupling[row, pair, k, y, x].item() * value
                    pair += 1
                scale, v = math.exp(made.log_scales[row, c, k, y, x].item()), level / 127.5 - 1
                upper = 1.0 if level == 255 else sigmoid((v + 1 / 255 - mean) / scale)
                lower = 0.0 if level == 0 else sigmoid((v - 1 / 255 - mean) / scale)
                product *= upper - lower
                values.append(v)
            pixel += product
        total += math.log(pixel)
    return total


@pytest.mark.parametrize("log_scale", [-8.0, -3.0, 0.0, 3.0])
def test_the_256_levels_of_a_grey_pixel_have_probability_one_together(log_scale):
    made = mixture(1, 1, log_scale=log_scale)
    total = rows(made, 256).log_prob(LEVELS.view(256, 1, 1, 1)).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


def test_all_colours_of_a_pixel_have_probability_one_together():
    """The third channel's levels all, of each of the others every level where there is something: 256³ are too many."""
    made = mixture(1, 3, log_scale=-5.0)
    made.means[:] = 0.9 + 0.02 * randn(1, 3, K, 1, 1)  # near white, where the last level has its tail
    made.coupling[:] *= 0.1
    levels = LEVELS[-48:]
    red_green = torch.cartesian_prod(levels, levels)
    total = 0.0
    for blue in LEVELS[-96:]:
        images = torch.cat([red_green, blue.expand(len(red_green), 1)], dim=1).view(-1, 3, 1, 1)
        total += rows(made, len(images)).log_prob(images).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-3)


def test_the_levels_of_each_channel_have_probability_one_given_those_before():
    """p(r), p(g | r) and p(b | r, g), out of ratios of joint probabilities: exactly, for all 256 levels of each."""
    made = mixture(1, 3, log_scale=-2.0)
    first = DiscretizedLogisticMixture(made.logits, made.means[:, :1], made.log_scales[:, :1], made.coupling[:, :0])
    two = DiscretizedLogisticMixture(made.logits, made.means[:, :2], made.log_scales[:, :2], made.coupling[:, :1])
    images = torch.cat([torch.tensor([40, 200]).double().expand(256, 2) / 255, LEVELS[:, None]], dim=1).view(
        -1, 3, 1, 1
    )
    given_two = rows(made, 256).log_prob(images).exp().sum().log()
    torch.testing.assert_close(given_two, two.log_prob(images[:1, :2])[0])
    images = torch.stack([torch.full((256,), 40 / 255).double(), LEVELS], dim=1).view(-1, 2, 1, 1)
    given_one = rows(two, 256).log_prob(images).exp().sum().log()
    torch.testing.assert_close(given_one, first.log_prob(images[:1, :1])[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_papers_formula_number_by_number(channels):
    made = mixture(4, channels, 2, 3)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, channels, 2, 3)))
    levels[0], levels[1, :, 0] = 0, 255
    expected = [slowly(made, image, row) for row, image in enumerate(levels)]
    found = made.log_prob(levels.double() / 255)
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    small = DiscretizedLogisticMixture(*(p.float() for p in (made.logits, made.means, made.log_scales, made.coupling)))
    assert small.log_prob(levels.float() / 255).tolist() == pytest.approx(expected, rel=1e-5)


def test_one_image_stands_for_as_many_as_there_are_rows():
    made = mixture(5, 3, 2, 2)
    image = torch.full((1, 3, 2, 2), 100 / 255).double()
    torch.testing.assert_close(made.log_prob(image), made.log_prob(image.expand(5, 3, 2, 2)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("size", [0.0, 1.0, 50.0, 1e4])
def test_values_and_gradients_are_finite_at_every_level_however_saturated_the_outputs(channels, level, size):
    observation = LIKELIHOODS["logistic_mixture"](channels, 0.0)
    outputs = (size * randn(6, observation.outputs, 2, 2)).float().requires_grad_()
    decoded = observation(outputs)
    log_p = decoded.log_prob(torch.full((6, channels, 2, 2), level / 255))
    (log_p.sum() + decoded.mean.sum()).backward()
    assert log_p.isfinite().all()
    assert (log_p <= 0).all()
    assert outputs.grad.isfinite().all()
    assert decoded.mean.min() >= 0
    assert decoded.mean.max() <= 1


@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 2.0])
def test_the_mean_of_a_grey_pixel_is_that_of_its_levels_within_half_a_level(log_scale):
    made = mixture(20, 1, log_scale=log_scale)
    probabilities = torch.stack([made.log_prob(level.view(1, 1, 1, 1)).exp() for level in LEVELS])
    expected = (probabilities * LEVELS[:, None]).sum(dim=0)
    assert (made.mean.flatten() - expected).abs().max() <= 0.5 / 255
    if log_scale >= -1:  # wide against a level: the rounding averages out
        assert (made.mean.flatten() - expected).abs().max() <= 1e-4


def test_the_mean_of_a_later_channel_follows_the_earlier_ones():
    """Far from both ends, where nothing is cut off, the expected colours are exact: means of linear functions."""
    made = mixture(3, 3, log_scale=-6.0)
    made.means[:] *= 0.1
    red, green = made.means[:, 0], made.means[:, 1] + made.coupling[:, 0] * made.means[:, 0]
    blue = made.means[:, 2] + made.coupling[:, 1] * red + made.coupling[:, 2] * green
    shares = made.logits.softmax(dim=1)
    expected = torch.stack([(shares * each).sum(dim=1) for each in (red, green, blue)], dim=1)
    torch.testing.assert_close(made.mean, (expected + 1) / 2, atol=1e-6, rtol=0)


def test_a_pixels_channels_share_their_component():
    """Two components, all dark or all bright: half of the pixels are grey 0 or 255, none is of a mixed colour."""
    means = torch.tensor([-1.0, 1.0]).double().view(1, 1, 2, 1, 1).expand(1, 3, 2, 1, 1)
    made = DiscretizedLogisticMixture(
        torch.zeros(1, 2, 1, 1).double(), means, torch.full_like(means, -8), torch.zeros(1, 3, 2, 1, 1).double()
    )
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 1]]).double().view(4, 3, 1, 1)
    probabilities = rows(made, 4).log_prob(colours).exp()
    torch.testing.assert_close(probabilities, torch.tensor([0.5, 0.5, 0, 0]).double(), atol=1e-4, rtol=0)


def test_the_number_of_outputs_is_that_of_the_parameters():
    """A weight, C means, C scales and C·(C − 1)/2 couplings for each component."""
    assert LIKELIHOODS["logistic_mixture"](3, 0.0).outputs % 10 == 0
    assert LIKELIHOODS["logistic_mixture"](3, 0.0).outputs / 10 == LIKELIHOODS["logistic_mixture"](1, 0.0).outputs / 3
