"""Encoders and decoders: shapes, ranges, and that what they return are distributions."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from genbalance.evaluation.classes import draw_labels
from genbalance.models.vae import Vae
from genbalance.models.vae.likelihoods import LARGER_STEPS
from genbalance.models.vae.logistic_mixture import DiscretizedLogisticMixture
from genbalance.models.vae.posteriors import IndependentNormal
from genbalance.models.vae.priors import (
    PSEUDO_INPUTS,
    GaussianMixture,
    PosteriorMixture,
    PseudoInputs,
    RealNvp,
    StandardNormal,
    even_noise,
)
from genbalance.runtime.device import initialised

SHAPES = [[1, 8, 8], [1, 17, 17], [3, 28, 9], [1, 31, 31], [3, 32, 32], [3, 8, 33], [1, 64, 40], [3, 64, 64]]
ARCHS = ["mlp", "conv", "ladder"]
LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Normal,
    "gaussian_shared": Normal,
    "logistic_mixture": DiscretizedLogisticMixture,
}
KINDS = list(itertools.product(ARCHS, LIKELIHOODS))
LATENTS = 3
CPU = torch.device("cpu")


def vae(arch, likelihood, shape=(1, 8, 8), width=32, floor=-6.0, **more):
    return initialised(lambda: Vae(arch, likelihood, [*shape], LATENTS, width, floor, **more), 0, "vae", CPU)


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def shaken(model):
    """As after a training: no layer is zero or the identity."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    return model


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_shapes_and_ranges_for_every_size(arch, likelihood, shape):
    model = vae(arch, likelihood, shape)
    with torch.no_grad():
        posterior = model.encode(randn(5, *shape).sigmoid())
        decoded = model.decode(randn(5, LATENTS))
        assert posterior.mean.shape == posterior.stddev.shape == (5, LATENTS)
        assert (posterior.stddev > 0).all()
        assert isinstance(decoded, LIKELIHOODS[likelihood])
        assert decoded.mean.shape == model.sample(randn(5, LATENTS)).shape == (5, *shape)
        assert decoded.mean.min() >= 0
        assert decoded.mean.max() <= 1
        density = decoded.log_prob(randn(5, *shape).gt(0).float())
        assert density.shape == ((5,) if likelihood == "logistic_mixture" else (5, *shape))
        assert density.isfinite().all()
        assert model.outputs == model.observation.outputs * shape[1] * shape[2]


@pytest.mark.parametrize("side", [32, 33, 40, 64, 96])
def test_from_32_pixels_on_convolutions_end_at_8_pixels_or_less_and_both_ways_have_as_many(side):
    model, sizes = vae("conv", "gaussian_shared", [3, side, side]), []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: sizes.append(max(output.shape[2:])))
    with torch.no_grad():
        model.encode(randn(2, 3, side, side))
        inward, sizes[:] = sizes[::3], []
        model.decode(randn(2, LATENTS))
        outward = sizes[::3]
    assert inward[-1] <= 8 < inward[-2] == -(-side // 2 ** (len(inward) - 1))
    assert outward[0] == inward[-1]
    assert len(outward) == len(inward)


def test_below_32_pixels_the_encoder_is_a_perceptron_whatever_the_architecture():
    for side, found in ((31, 0), (32, 1)):
        for arch in ("conv", "ladder"):
            encoder = vae(arch, "bernoulli", [1, side, 8]).encoder
            assert any(isinstance(layer, torch.nn.Conv2d) for layer in encoder.modules()) == found


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("floor", [-6.0, -1.0])
def test_a_shared_sigma_is_one_weight_with_a_floor_which_all_pixels_have(arch, floor):
    model = vae(arch, "gaussian_shared", [3, 8, 8], floor=floor)
    for raw, log_sigma in ((-1e6, floor), (floor + 20, floor + 20)):
        with torch.no_grad():
            model.observation.log_sigma.fill_(raw / LARGER_STEPS)
            decoded = model.decode(randn(4, LATENTS) * 3)
        assert decoded.stddev.log().unique().tolist() == [pytest.approx(log_sigma, abs=1e-3)]
    assert model.observation.outputs == 3


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_colours_are_told_apart_by_the_encoder_and_made_apart_by_the_decoder(likelihood):
    model, images = shaken(vae("conv", likelihood, [3, 32, 32])), randn(2, 3, 32, 32).sigmoid()
    with torch.no_grad():
        assert not torch.allclose(model.encode(images).mean, model.encode(images.flip(1)).mean, atol=1e-4)
        red, green, blue = model.sample(randn(2, LATENTS)).unbind(dim=1)
    assert not torch.allclose(red, green, atol=1e-4)
    assert not torch.allclose(green, blue, atol=1e-4)


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
    model = vae("mlp", "bernoulli", width=48)
    shapes = [tuple(p.shape) for p in model.parameters() if p.dim() == 2]
    assert shapes == [(48, 64), (48, 48), (2 * LATENTS, 48), (48, LATENTS), (48, 48), (64, 48)]


@pytest.mark.parametrize("shape", [[1, 17, 17], [3, 32, 40]], ids=str)
@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_every_weight_takes_part(arch, likelihood, shape):
    model = shaken(vae(arch, likelihood, shape))  # some start at zero
    posterior = model.encode(randn(6, *shape).sigmoid())
    drawn = posterior.draw(randn(6, LATENTS))
    decoded = drawn.decoded or model.decode(drawn.latents)
    (-decoded.log_prob(torch.full((6, *shape), 0.2)).sum() + posterior.stddev.sum()).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("shape", [[1, 17, 17], [3, 32, 40]], ids=str)
@pytest.mark.parametrize(("arch", "likelihood"), KINDS)
def test_an_image_is_coded_and_decoded_the_same_alone_and_in_a_batch(arch, likelihood, shape):
    model, images = shaken(vae(arch, likelihood, shape)), randn(4, *shape).sigmoid()
    with torch.no_grad():
        for network in (lambda some: model.encode(some).mean, lambda some: model.decode(some[:, 0, 0, :LATENTS]).mean):
            alone = torch.cat([network(image[None]) for image in images])
            torch.testing.assert_close(network(images), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("arch", ARCHS)
def test_latents_are_drawn_from_what_the_draw_says_with_gradients(arch, draws):
    """z = μ + σ·ε of each latent's own normal, for one draw of each image and for several."""
    model, noise = shaken(vae(arch, "gaussian")), randn(draws, 5, LATENTS)
    posterior = model.encode(randn(5, 1, 8, 8).sigmoid())
    several = posterior.draw(noise)
    of_each = several.conditional.mean + several.conditional.stddev * noise
    torch.testing.assert_close(several.latents, of_each)
    one = posterior.draw(noise[-1]).latents
    torch.testing.assert_close(several.latents[-1], one)
    (gradient,) = torch.autograd.grad(one.sum(), [p for p in model.encoder.parameters() if p.dim() == 2][-1])
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("arch", ARCHS)
def test_mean_and_deviation_of_a_posterior_are_those_where_nothing_is_left_to_chance(arch):
    posterior = shaken(vae(arch, "gaussian")).encode(randn(5, 1, 8, 8).sigmoid())
    drawn = posterior.draw(torch.zeros(5, LATENTS))
    torch.testing.assert_close(posterior.mean, drawn.latents)
    torch.testing.assert_close(posterior.stddev, drawn.conditional.stddev)


def test_independent_latents_have_the_posteriors_mean_and_variance():
    posterior = IndependentNormal(torch.tensor([-3.0, 0.0, 5.0]).double(), torch.tensor([0.1, 1.0, 4.0]).double())
    n = 200_000
    z = posterior.draw(randn(n, 3).double()).latents
    assert ((z.mean(dim=0) - posterior.mean).abs() < 5 * posterior.stddev / math.sqrt(n)).all()
    assert ((z.var(dim=0) / posterior.variance - 1).abs() < 5 * math.sqrt(2 / n)).all()


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


def set_mixture(latents=3, unused=1):
    """Two normals of one third and two thirds, and ``unused`` components, beside the same by torch."""
    means, scales = 2 * randn(2, latents), torch.linalg.cholesky(torch.eye(latents) + 0.3)[None] * torch.ones(2, 1, 1)
    scales[1] *= 0.5
    weights = torch.tensor([1 / 3, 2 / 3])
    mixture = GaussianMixture(latents, 2 + unused)
    mixture.set(weights, means, scales)
    return mixture, MixtureSameFamily(Categorical(weights), MultivariateNormal(means, scale_tril=scales))


def test_a_mixture_is_the_standard_normal_before_it_is_fitted():
    z, mixture = randn(6, 5), GaussianMixture(5, 4)
    torch.testing.assert_close(mixture.log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(dim=-1))
    torch.testing.assert_close(mixture.draw(z), z)


@pytest.mark.parametrize("unused", [0, 2])
def test_the_density_of_a_mixture_is_that_of_torch(unused):
    mixture, expected = set_mixture(unused=unused)
    z = 3 * randn(2, 7, 3)
    torch.testing.assert_close(mixture.log_prob(z), expected.log_prob(z))


def test_draws_of_a_mixture_have_its_distribution():
    """Each number of (z − μ_k)·S_k⁻ᵀ of the draws of a component is standard normal, and there are π_k of them."""
    mixture, _ = set_mixture(latents=4)
    mixture.set(mixture.weights[:2], torch.tensor([[30.0] * 4, [-30.0] * 4]), mixture.scales[:2])
    count = 40_000
    z = mixture.draw(randn(count, 4))
    for k, share in enumerate((1 / 3, 2 / 3)):
        own = z[z[:, 0] > 0] if k == 0 else z[z[:, 0] < 0]
        assert abs(len(own) / count - share) < 4 * math.sqrt(share * (1 - share) / count)
        normal = (own - mixture.means[k]) @ mixture.inverses[k].T
        error = 1 / math.sqrt(len(own))
        assert normal.mean(dim=0).abs().max() < 5 * error
        assert (normal.T.cov() - torch.eye(4)).abs().max() < 8 * error
        assert (normal.pow(4).mean(dim=0) - 3).abs().max() < 50 * error


def test_even_noise_is_standard_normal_and_draws_each_component_by_its_weight_in_any_run_of_rows():
    count, n = 60_000, 1000
    noise = even_noise(count, 4, torch.Generator().manual_seed(3))
    for number in noise.T:
        assert kstest(number, "norm").pvalue > 1e-3
    assert (noise.T.cov() - torch.eye(4)).abs().max() < 5 / math.sqrt(count)
    weights = torch.rand(20, generator=torch.Generator().manual_seed(4))
    mixture = GaussianMixture(4, 20)
    mixture.set(weights, torch.arange(20.0)[:, None] * torch.full((20, 4), 1e4), torch.eye(4).repeat(20, 1, 1))
    drawn = (mixture.draw(noise)[:, 0] / 1e4).round().long()
    for start in (0, 123, count - n):
        counts = torch.bincount(drawn[start : start + n], minlength=20)
        assert (counts - n * mixture.weights).abs().max() < 4  # independent draws: up to 20 and more


def test_one_row_of_even_noise_is_standard_normal():
    last = torch.stack([even_noise(3, 2, torch.Generator().manual_seed(seed))[-1] for seed in range(2000)])
    for number in (*last.T, last.sum(dim=1) / math.sqrt(2)):
        assert kstest(number, "norm").pvalue > 1e-3


def test_beside_labels_that_are_drawn_evenly_each_has_each_component():
    labels = draw_labels(np.arange(10).repeat(100), 1000, seed=3)
    noise = even_noise(1000, 2, torch.Generator().manual_seed(3))
    component = (torch.atan2(noise[:, 1], noise[:, 0]) / (2 * math.pi) + 0.5).mul(10).long().clamp(max=9)
    pairs = np.bincount(10 * labels + component.numpy(), minlength=100)
    assert np.abs(pairs - 10).max() < 5  # independent draws: up to 10


@pytest.mark.parametrize("prior", ["mixture", "vamp", "normal", "flow"])
def test_priors_of_components_alone_take_even_noise(prior):
    drawn = vae("mlp", "gaussian", prior=prior).noise(8, torch.Generator().manual_seed(5))
    even = even_noise(8, LATENTS, torch.Generator().manual_seed(5))
    assert torch.equal(drawn, even) is (prior in ("mixture", "vamp"))
    assert torch.equal(drawn[:, 2:], even[:, 2:])


def test_a_component_without_weight_is_never_drawn():
    mixture, _ = set_mixture(unused=3)
    with torch.no_grad():
        mixture.means[2:] = 1e6
    edges = torch.tensor([[-1.0, 0.0, 0.0], [-1.0, -1e-9, 0.0], [-1.0, 1e-9, 0.0]])
    assert mixture.draw(torch.cat([edges, randn(1000, 3)])).abs().max() < 1e3


@pytest.mark.parametrize("prior", ["normal", "mixture", "flow", "vamp"])
def test_samples_are_mean_images_of_draws_of_the_prior(prior):
    model = vae("mlp", "gaussian", prior=prior)
    noise = randn(4, LATENTS)
    with torch.no_grad():
        torch.testing.assert_close(model.sample(noise), model.decode(model.draw_prior(noise)).mean)


def of_posteriors(count=7, spread=2.0):
    """Of 3 latents, in float64."""
    return PosteriorMixture(Normal(spread * randn(count, 3).double(), randn(count, 3).double().exp() / 4))


def test_the_density_of_a_mixture_of_posteriors_is_their_mean():
    of, z = of_posteriors(), 3 * randn(4, 5, 3).double()
    torch.testing.assert_close(of.log_prob(z), of.components.log_prob(z[..., None, :]).sum(-1).exp().mean(-1).log())
    of_library = MixtureSameFamily(Categorical(torch.ones(7).double()), Independent(of.components, 1))
    torch.testing.assert_close(of.log_prob(z), of_library.log_prob(z))


def test_far_from_all_posteriors_the_density_of_their_mixture_is_finite_and_keeps_its_digits():
    narrow = PosteriorMixture(Normal(randn(5, 3), torch.full((5, 3), 1e-3)))
    z = torch.stack([narrow.components.mean[0], 100 * torch.ones(3)])
    exact = MixtureSameFamily(
        Categorical(torch.ones(5).double()), Independent(Normal(*(part.double() for part in parts(narrow))), 1)
    ).log_prob(z.double())
    torch.testing.assert_close(narrow.log_prob(z), exact.float(), rtol=1e-6, atol=1e-4)


def parts(of):
    return of.components.mean, of.components.stddev


@pytest.mark.parametrize("count", [1, 2, 5])
def test_draws_choose_each_posterior_as_often_and_are_normal_within_it(count):
    """Of components far apart, so that the draw shows which it is of."""
    n, of = 20_000, of_posteriors(count, spread=1e4)
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(11)).double()
    mean, deviation = parts(of)
    drawn = of.draw(noise)
    chosen = (drawn[:, None] - mean).square().sum(dim=2).argmin(dim=1)
    assert count == 1 or chisquare(torch.bincount(chosen, minlength=count).numpy()).pvalue > 1e-3
    within = ((drawn - mean[chosen]) / deviation[chosen]).numpy()
    for k in range(count):
        for latent in range(3):
            assert kstest(within[chosen == k, latent], "norm").pvalue > 1e-3
        assert np.abs(np.corrcoef(within[chosen == k].T) - np.eye(3)).max() < 5 / math.sqrt(n / count)


def test_of_one_posterior_the_noise_itself_is_taken():
    of, noise = of_posteriors(1), randn(50, 3).double()
    torch.testing.assert_close(of.draw(noise), parts(of)[0] + parts(of)[1] * noise)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_images_of_all_classes_in_turn(classes):
    model, z = shaken(vae("mlp", "bernoulli", prior="vamp", classes=classes)), randn(2, 4, LATENTS)
    images = model.prior()
    assert images.shape == (PSEUDO_INPUTS, 1, 8, 8)
    assert 0 < images.min() < 0.5 < images.max() < 1
    labels = torch.tensor([0, 1, 2]).repeat(PSEUDO_INPUTS)[:PSEUDO_INPUTS] if classes else None
    q = model.encode(images, labels)
    expected = q.log_prob(z[..., None, :]).sum(-1).logsumexp(-1) - math.log(PSEUDO_INPUTS)
    torch.testing.assert_close(model.log_prior(z), expected)
    model.log_prior(z).sum().backward()
    for p in (model.prior.raw, *model.encoder.parameters()):
        assert p.grad.abs().max() > 0
    assert not model.standard_prior


def test_a_vamp_prior_of_one_image_is_its_posterior():
    model, z = vae("mlp", "bernoulli", prior="vamp"), randn(5, LATENTS)
    model.prior = PseudoInputs([1, 8, 8], count=1)
    with torch.no_grad():
        q = model.encode(model.prior())
        torch.testing.assert_close(model.log_prior(z), q.log_prob(z).sum(dim=1))
        torch.testing.assert_close(model.draw_prior(z), q.draw(z).latents)


@pytest.mark.parametrize(("likelihood", "shape"), [("bernoulli", [1, 17, 17]), ("gaussian_shared", [3, 32, 24])])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_conditional_model_heeds_its_labels_and_no_other_row(arch, likelihood, shape):
    model = vae(arch, likelihood, shape, classes=4)
    images, labels = randn(4, *shape).sigmoid(), torch.arange(4)
    other = torch.tensor([0, 1, 2, 0])  # the last alone differs
    with torch.no_grad():
        for one, two in (
            (model.encode(images, labels).mean, model.encode(images, other).mean),
            (model.sample(randn(4, LATENTS), labels), model.sample(randn(4, LATENTS), other)),
        ):
            torch.testing.assert_close(one[:3], two[:3], rtol=1e-4, atol=1e-5)
            assert not torch.allclose(one[3], two[3], atol=1e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("prior", ["normal", "mixture", "flow", "vamp"])
def test_the_two_sides_share_no_weight_and_are_all_of_them(prior, classes, likelihood):
    model = vae("mlp", likelihood, prior=prior, classes=classes)
    inference, generation = ({id(p) for p in side.parameters()} for side in model.sides())
    assert not inference & generation
    assert inference | generation == {id(p) for p in model.parameters()}
