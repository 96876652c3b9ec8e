"""Encoders and decoders: shapes, ranges, and that what they return are distributions."""

import itertools

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from genbalance.compute import initialised
from genbalance.models.vae import Vae

SIZES = [8, 17, 20, 28, 32]
ARCHS = ["mlp", "conv"]
LIKELIHOODS = ["bernoulli", "gaussian"]
KINDS = list(itertools.product(ARCHS, LIKELIHOODS))
LATENTS = 3


def vae(arch, likelihood, size=8, width=32, floor=-6.0):
    return initialised(lambda: Vae(arch, likelihood, size, LATENTS, width, floor), 0, "vae", torch.device("cpu"))


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_shapes_and_ranges_for_every_size(arch, likelihood, size):
    model = vae(arch, likelihood, size)
    with torch.no_grad():
        posterior = model.encode(randn(5, 1, size, size).sigmoid())
        decoded = model.decode(randn(5, LATENTS))
        assert isinstance(posterior, Normal)
        assert posterior.mean.shape == posterior.stddev.shape == (5, LATENTS)
        assert (posterior.stddev > 0).all()
        assert isinstance(decoded, Bernoulli if likelihood == "bernoulli" else Normal)
        assert decoded.mean.shape == (5, 1, size, size)
        assert decoded.mean.min() >= 0
        assert decoded.mean.max() <= 1
        density = decoded.log_prob(randn(5, 1, size, size).gt(0).float())
        assert density.shape == (5, 1, size, size)
        assert density.isfinite().all()


@pytest.mark.parametrize("arch", ARCHS)
def test_the_two_values_of_a_bernoulli_pixel_have_probability_one_together(arch):
    with torch.no_grad():
        decoded = vae(arch, "bernoulli").decode(randn(4, LATENTS) * 5)
        total = sum(decoded.log_prob(torch.full((4, 1, 8, 8), value)).exp() for value in (0.0, 1.0))
    torch.testing.assert_close(total, torch.ones(4, 1, 8, 8))


@pytest.mark.parametrize("arch", ARCHS)
def test_the_density_of_a_gaussian_pixel_integrates_to_one(arch):
    with torch.no_grad():
        decoded = vae(arch, "gaussian").decode(randn(1, LATENTS))
        x = torch.linspace(-12, 13, 5001)
        density = decoded.log_prob(x.view(-1, 1, 1, 1)).exp()
    torch.testing.assert_close(torch.trapezoid(density, x, dim=0), torch.ones(1, 8, 8), rtol=1e-3, atol=1e-3)


def biases(model, part):
    return [p for p in getattr(model, part).parameters() if p.dim() == 1][-1]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("floor", [-12.0, -6.0, 0.0])
def test_log_sigma_never_falls_below_its_floor(arch, floor):
    model = vae(arch, "gaussian", floor=floor)
    for raw in (-1e6, -20.0, 0.0):
        with torch.no_grad():
            biases(model, "decoder").fill_(raw)
            log_sigma = model.decode(randn(4, LATENTS)).stddev.log()
        assert log_sigma.min() >= floor - 1e-4
    with torch.no_grad():
        biases(model, "decoder").fill_(3.0)
        assert model.decode(randn(4, LATENTS)).stddev.log().mean() == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_decoder_learns_mean_and_deviation_of_each_pixel_apart(arch):
    model = vae(arch, "gaussian")
    with torch.no_grad():
        decoded = model.decode(randn(4, LATENTS) * 3)
    spread = decoded.stddev.flatten(1).std(dim=1)
    assert (spread > 0).all()
    assert not torch.equal(decoded.mean[0], decoded.mean[1])


@pytest.mark.parametrize("arch", ARCHS)
def test_a_runaway_log_variance_stays_within_float32(arch):
    model = vae(arch, "bernoulli")
    with torch.no_grad():
        biases(model, "encoder").fill_(1e5)
        deviation = model.encode(randn(4, 1, 8, 8)).stddev
    assert deviation.square().isfinite().all()


def test_the_mlps_hidden_layers_have_the_given_width():
    model = vae("mlp", "bernoulli", 8, 48)
    shapes = [tuple(p.shape) for p in model.parameters() if p.dim() == 2]
    assert shapes == [(48, 64), (48, 48), (2 * LATENTS, 48), (48, LATENTS), (48, 48), (64, 48)]


@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_every_weight_takes_part(arch, likelihood):
    model = vae(arch, likelihood, 17)
    posterior = model.encode(randn(6, 1, 17, 17).sigmoid())
    decoded = model.decode(posterior.mean + posterior.stddev * randn(6, LATENTS))
    (-decoded.log_prob(torch.ones(6, 1, 17, 17)).sum() + posterior.stddev.sum()).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_an_image_is_coded_the_same_alone_and_in_a_batch(arch, likelihood):
    model, images = vae(arch, likelihood, 17), randn(4, 1, 17, 17).sigmoid()
    with torch.no_grad():
        together = model.encode(images).mean
        alone = torch.cat([model.encode(image[None]).mean for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
