"""Encoders and decoders: shapes, ranges, and that what they return are distributions."""

import itertools

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from genbalance.models.vae import Vae
from genbalance.models.vae.priors import RealNvp, StandardNormal
from genbalance.runtime.device import initialised

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
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))  # some start at zero
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


CPU = torch.device("cpu")


def moved_flow(latents=5):
    """Away from the identity that it starts as."""
    flow = initialised(lambda: RealNvp(latents, pairs=2, width=16), 0, "flow", CPU).double()
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    return flow


def test_an_untrained_flow_is_the_standard_normal():
    z = randn(6, 5) * 3
    flow = RealNvp(5, pairs=2, width=16)
    torch.testing.assert_close(flow.log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(dim=-1))
    torch.testing.assert_close(StandardNormal().log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(dim=-1))
    torch.testing.assert_close(flow.draw(z).sort(dim=1).values, z.sort(dim=1).values)  # the order alone has changed


@pytest.mark.parametrize("latents", [2, 3, 5, 8])
def test_the_density_of_a_flow_is_that_of_its_draws(latents):
    """log p(z) = log N(u) − log |dz/du| at z = draw(u), with the Jacobian by automatic differentiation."""
    flow, u = moved_flow(latents), randn(4, latents).double()
    z = flow.draw(u)
    slopes = torch.stack([torch.autograd.functional.jacobian(flow.draw, one) for one in u])
    expected = Normal(0.0, 1.0).log_prob(u).sum(dim=-1) - torch.linalg.slogdet(slopes).logabsdet
    torch.testing.assert_close(flow.log_prob(z), expected)
    assert not torch.allclose(z, u, atol=0.1)


@pytest.mark.parametrize("latents", [2, 3, 5, 40])
def test_every_latent_is_changed_in_its_shape_by_a_single_pair(latents):
    """By the couplings alone, whose outer shift and scale are left at nothing."""
    flow = initialised(lambda: RealNvp(latents, pairs=1, width=16), 0, "flow", CPU).double()
    with torch.no_grad():
        for p in flow.couplings.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    noise = randn(200, latents).double()
    drawn, plain = flow.draw(noise), RealNvp(latents, pairs=1, width=16).double()
    for order, coupling in zip(plain.couplings, flow.couplings, strict=True):
        order.order.copy_(coupling.order)
    with torch.no_grad():
        assert ((drawn - plain.draw(noise)).abs().mean(dim=0) > 1e-3).all()


def test_a_flow_takes_any_leading_shape():
    assert moved_flow().log_prob(randn(3, 4, 5).double()).shape == (3, 4)


@pytest.mark.parametrize("prior", ["normal", "flow"])
def test_samples_are_mean_images_of_draws_of_the_prior(prior):
    model = initialised(lambda: Vae("mlp", "gaussian", 8, LATENTS, 32, -6.0, prior), 0, "vae", CPU)
    noise = randn(4, LATENTS)
    with torch.no_grad():
        torch.testing.assert_close(model.sample(noise), model.decode(model.prior.draw(noise)).mean)


@pytest.mark.parametrize("arch", ARCHS)
def test_a_conditional_model_heeds_its_labels_and_no_other_row(arch):
    model = initialised(lambda: Vae(arch, "bernoulli", 17, LATENTS, 32, -6.0, classes=4), 0, "vae", CPU)
    images, labels = randn(4, 1, 17, 17).sigmoid(), torch.arange(4)
    other = torch.tensor([0, 1, 2, 0])  # the last alone differs
    with torch.no_grad():
        for one, two in (
            (model.encode(images, labels).mean, model.encode(images, other).mean),
            (model.sample(randn(4, LATENTS), labels), model.sample(randn(4, LATENTS), other)),
        ):
            torch.testing.assert_close(one[:3], two[:3], rtol=1e-4, atol=1e-5)
            assert not torch.allclose(one[3], two[3], atol=1e-4)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("prior", ["normal", "flow"])
def test_the_two_sides_share_no_weight_and_are_all_of_them(prior, classes):
    model = Vae("mlp", "bernoulli", 8, LATENTS, 32, -6.0, prior, classes)
    inference, generation = ({id(p) for p in side.parameters()} for side in model.sides())
    assert not inference & generation
    assert inference | generation == {id(p) for p in model.parameters()}
