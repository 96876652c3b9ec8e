"""From pixels to the terms of the objective, against models whose log p(x) is known."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from genbalance.evaluation import elbo
from genbalance.evaluation.elbo import decoded, evaluate_elbo
from genbalance.losses.vae import distortion, kl_to_normal, vae_output
from genbalance.models.vae import Vae
from genbalance.models.vae.likelihoods import LARGER_STEPS
from genbalance.models.vae.posteriors import IndependentNormal
from genbalance.runtime.device import generator, initialised

CPU = torch.device("cpu")


def noise(seed=0):
    return generator(seed, "noise")


LIKELIHOODS = ["bernoulli", "gaussian", "gaussian_shared", "logistic_mixture"]


def vae(likelihood="bernoulli", channels=1, **more):
    return initialised(lambda: Vae("mlp", likelihood, [channels, 8, 8], 3, 32, -6.0, **more), 0, "vae", CPU).eval()


def pixels(n=7, size=8, channels=1):
    """Levels k/255."""
    rand = torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))
    return (rand * 255).round() / 255


class LinearGaussian:
    """x = W·z + b + σ·ε with orthogonal columns of W, for which q(z|x) = p(z|x) is a diagonal normal."""

    likelihood = "gaussian"
    standard_prior = True
    outputs, latents = 8, 2

    def __init__(self, error=0.0):
        draws = torch.randn(4, 2, generator=torch.Generator().manual_seed(2)).double()
        self.w = torch.linalg.qr(draws).Q * torch.tensor([0.8, 0.3]).double()
        self.b, self.sigma, self.error = torch.full((4,), 0.5).double(), 0.2, error

    def encode(self, images, labels=None):
        variance = 1 / (1 + self.w.square().sum(dim=0) / self.sigma**2)
        mean = (images.flatten(1) - self.b) @ self.w / self.sigma**2 * variance
        return IndependentNormal(mean + self.error, variance.sqrt().expand_as(mean))

    def log_prior(self, latents):
        return Normal(0.0, 1.0).log_prob(latents).sum(dim=-1)

    def decode(self, latents, labels=None):
        return Normal((latents @ self.w.T + self.b).view(-1, 1, 2, 2), self.sigma)

    def log_evidence(self, images):
        covariance = self.w @ self.w.T + self.sigma**2 * torch.eye(4).double()
        return MultivariateNormal(self.b, covariance).log_prob(images.flatten(1))


@pytest.fixture
def doubles(monkeypatch):
    """Noise in float64."""
    monkeypatch.setattr(torch, "randn", lambda *a, randn=torch.randn, **k: randn(*a, **k).double())


def test_at_the_exact_posterior_the_negative_elbo_is_minus_log_p(doubles):
    model, images, repeats = LinearGaussian(), pixels(6, 2).double(), 4000
    draws = vae_output(model, images.repeat_interleave(repeats, dim=0), noise()).terms
    nelbo = (draws.distortion + draws.rate).view(6, repeats)
    error = nelbo.std(dim=1) / math.sqrt(repeats)
    assert ((nelbo.mean(dim=1) + model.log_evidence(images)).abs() < 5 * error).all()


def test_at_any_other_posterior_the_negative_elbo_exceeds_minus_log_p_by_the_kl_between_them(doubles):
    exact, wrong, images, repeats = LinearGaussian(), LinearGaussian(error=0.1), pixels(6, 2).double(), 4000
    draws = vae_output(wrong, images.repeat_interleave(repeats, dim=0), noise()).terms
    nelbo = (draws.distortion + draws.rate).view(6, repeats)
    error = nelbo.std(dim=1) / math.sqrt(repeats)
    gap = torch.distributions.kl_divergence(wrong.encode(images), exact.encode(images)).sum(dim=1)
    assert (gap > 5 * error).all()
    assert ((nelbo.mean(dim=1) + exact.log_evidence(images) - gap).abs() < 5 * error).all()


class Ignorant:
    """A decoder that ignores z, an encoder that answers with the prior."""

    likelihood = "bernoulli"
    standard_prior = True
    outputs, latents = 4, 3

    def encode(self, images, labels=None):
        return IndependentNormal(torch.zeros(len(images), 3), torch.ones(len(images), 3))

    def decode(self, latents, labels=None):
        return Bernoulli(probs=torch.full((len(latents), 1, 2, 2), 0.25))


def test_without_latents_the_negative_elbo_is_minus_log_p_of_binary_pixels():
    binary = torch.tensor([[0.0, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]]).view(3, 1, 2, 2)
    evaluation = evaluate_elbo(Ignorant(), binary, noise())
    ones = binary.flatten(1).sum(dim=1).double().numpy()
    assert evaluation.rate == 0
    assert evaluation.distortion == pytest.approx(-(ones * math.log(0.25) + (4 - ones) * math.log(0.75)), rel=1e-5)
    assert evaluation.loss(1.0) == evaluation.loss(100.0) == pytest.approx(evaluation.distortion.mean())


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_loss_is_distortion_plus_beta_times_rate(likelihood):
    evaluation = evaluate_elbo(vae(likelihood), pixels(), noise())
    assert evaluation.rate == pytest.approx(evaluation.rates.mean()) == pytest.approx(evaluation.kl.sum(), rel=1e-4)
    assert evaluation.rate > 0
    assert evaluation.loss(0.0) == pytest.approx(evaluation.distortion.mean())
    assert evaluation.loss(3.0) - evaluation.loss(1.0) == pytest.approx(2 * evaluation.rate)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_an_evaluation_has_a_row_an_image_and_reconstructions_in_the_unit_range(likelihood, channels):
    model = vae(likelihood, channels)
    evaluation = evaluate_elbo(model, pixels(7, channels=channels), noise())
    assert evaluation.distortion.shape == evaluation.rates.shape == (7,)
    assert evaluation.means.shape == (7, 3)
    assert evaluation.kl.shape == (3,)
    reconstructions = decoded(model, evaluation.means)
    assert reconstructions.shape == ((7, 8, 8) if channels == 1 else (7, 8, 8, 3))
    assert reconstructions.dtype == "float32"
    assert reconstructions.min() >= 0
    assert reconstructions.max() <= 1


@pytest.mark.parametrize("bound", ["images", "values"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS[1:])
def test_an_evaluation_in_blocks_is_that_in_one_pass(likelihood, bound, monkeypatch):
    """A posterior without spread and a likelihood without binarization: nothing is left to chance."""
    model, images = vae(likelihood, 3), pixels(7, channels=3)
    with torch.no_grad():
        model.encoder[-1].bias[3:].fill_(-60)
    whole = evaluate_elbo(model, images, noise())
    reconstructions = decoded(model, whole.means)
    if bound == "images":
        monkeypatch.setattr(elbo, "BLOCK", 3)
        monkeypatch.setattr("genbalance.evaluation.features.BLOCK", 3)
    else:
        monkeypatch.setattr("genbalance.evaluation.features.VALUES", 3 * model.outputs + 1)
    decode, most = model.decode, []
    monkeypatch.setattr(model, "decode", lambda z, *labels: most.append(len(z)) or decode(z, *labels))
    blocks = evaluate_elbo(model, images, noise(9))
    assert max(most) == 3
    for name in ("distortion", "kl", "means"):
        assert getattr(blocks, name) == pytest.approx(getattr(whole, name), rel=1e-4, abs=1e-5), name
    most.clear()
    assert decoded(model, blocks.means) == pytest.approx(reconstructions, rel=1e-4, abs=1e-5)
    assert max(most) == 3


def test_a_reconstruction_is_the_mean_image_at_the_mean_latents():
    model, images = vae("gaussian"), pixels(4)
    evaluation = evaluate_elbo(model, images, noise())
    with torch.no_grad():
        expected = model.decode(model.encode(images).mean).mean[:, 0]
    assert decoded(model, evaluation.means) == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_same_noise_gives_the_same_evaluation_and_other_noise_another():
    model, images = vae(), pixels()
    one, same, other = (evaluate_elbo(model, images, noise(seed)) for seed in (0, 0, 1))
    assert (one.distortion == same.distortion).all()
    assert (one.distortion != other.distortion).any()


def test_only_a_bernoulli_sees_binary_images(monkeypatch):
    for likelihood in LIKELIHOODS:
        values = {0.0, 1.0} if likelihood == "bernoulli" else set(pixels().unique().tolist())
        model, seen = vae(likelihood), []
        encode = model.encode
        monkeypatch.setattr(
            model, "encode", lambda images, labels, encode=encode, seen=seen: seen.append(images) or encode(images)
        )
        vae_output(model, pixels(), noise())
        assert set(seen[0].unique().tolist()) == values


def test_the_binary_draw_is_what_is_scored():
    """Grey pixels scored as they are would be a cross-entropy and no likelihood."""
    output = vae_output(Ignorant(), torch.full((500, 1, 2, 2), 0.5), noise())
    ones = torch.arange(5)
    allowed = -(ones * math.log(0.25) + (4 - ones) * math.log(0.75))
    assert (output.terms.distortion[:, None] - allowed).abs().min(dim=1).values.max() < 1e-5
    assert len(output.terms.distortion.unique()) > 1


@pytest.mark.parametrize("draws", [1, 4])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_gradients_reach_every_weight_from_the_loss(likelihood, draws):
    model = vae(likelihood, 3)
    terms = vae_output(model, pixels(channels=3), noise(), draws=draws).terms
    assert terms.distortion.shape == ((7,) if draws == 1 else (draws, 7))
    terms.loss(1.0).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_each_of_several_draws_is_scored_on_its_own_image(likelihood):
    """A decoder that knows nothing of z gives every draw of an image the same distortion, and every image its own."""
    model = vae(likelihood, 3)
    with torch.no_grad():
        model.decoder[0][0].weight.zero_()
    images = pixels(channels=3).round()
    found = vae_output(model, images, noise(), draws=4).terms.distortion
    torch.testing.assert_close(found, vae_output(model, images, noise()).terms.distortion.expand(4, 7))
    assert len(found[0].unique()) == 7


def test_the_best_shared_sigma_is_the_root_mean_square_error():
    """The closed form of σ-VAE: there the gradient is zero."""
    model, images, z = vae("gaussian_shared", 3), pixels(channels=3), torch.zeros(7, 3)
    with torch.no_grad():
        error = (model.decode(z).mean - images).square().mean().sqrt().log()
        floor = model.observation.log_sigma_floor
        model.observation.log_sigma.fill_((floor + torch.expm1(error - floor).log()) / LARGER_STEPS)
    loss = distortion(images, model.decode(z)).sum()
    (gradient,) = torch.autograd.grad(loss, model.observation.log_sigma)
    assert abs(gradient.item()) < 1e-4 * images.numel()


def test_the_fitted_sigma_is_the_best_one_and_becomes_the_models():
    model, images = vae("gaussian_shared", 3), pixels(channels=3)
    terms = vae_output(model, images, noise(), fitted=model.observation.fitted).terms
    best = terms.distortion.mean()
    values = images[0].numel()
    error = model.observation.sigma.item() ** 2
    # of a normal with that variance −log p is n/2·(log 2πσ² + 1) on the average
    assert best.item() == pytest.approx(values / 2 * (math.log(2 * math.pi * error) + 1), rel=1e-5)
    torch.testing.assert_close(vae_output(model, images, noise()).terms.distortion, terms.distortion)
    for factor in (0.97, 1.03):
        with torch.no_grad():
            model.observation.log_sigma.mul_(factor)
            assert vae_output(model, images, noise()).terms.distortion.mean() > best
            model.observation.log_sigma.div_(factor)
    assert model.observation.log_sigma.grad is None
    best.backward()
    assert model.observation.log_sigma.grad is None
    assert all(p.grad.abs().max() > 0 for p in model.decoder.parameters())


def test_with_the_fitted_sigma_the_kl_weighs_as_with_unit_variance_and_beta_times_its_square():
    """The gradients of L are those of half the squared errors + β·σ²·L_KL, divided by σ²."""
    model, images, beta = vae("gaussian_shared", 3), pixels(channels=3), 3.0
    vae_output(model, images, noise(), fitted=model.observation.fitted).terms.loss(beta).backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    variance = model.observation.sigma.item() ** 2
    posterior = model.encode(images)
    z = posterior.draw(torch.randn(7, 3, generator=noise())).latents
    rate = kl_to_normal(posterior).sum(dim=1).mean()
    errors = (images - model.decode(z).mean).square().flatten(1).sum(dim=1).mean()
    unit = errors / 2 + beta * variance * rate
    names = [name for name, _ in model.named_parameters() if name in found]
    expected = torch.autograd.grad(unit, [p for name, p in model.named_parameters() if name in found])
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(found[name] * variance, gradient, rtol=1e-3, atol=1e-6)
    assert set(found) == {name for name, _ in model.named_parameters()} - {"observation.log_sigma"}


def test_the_fitted_sigma_stops_at_its_floor():
    model = initialised(lambda: Vae("mlp", "gaussian_shared", [1, 8, 8], 3, 32, -0.5), 0, "vae", CPU)
    images = model.decode(torch.zeros(7, 3)).mean.detach()
    for given in (images, images + 1e-4):
        model.observation.fitted(model.decode(torch.zeros(7, 3)), given)
        assert math.log(model.observation.sigma.item()) == pytest.approx(-0.5, abs=1e-3)
        assert math.log(model.observation.sigma.item()) > -0.5


def test_the_rates_of_layers_add_up_to_the_rate_and_a_single_layer_has_none_apart():
    build = {"likelihood": "gaussian", "shape": [1, 8, 8], "latents": 7, "width": 32, "log_sigma_floor": -6.0}
    model = initialised(lambda: Vae("ladder", **build), 0, "vae", CPU).eval()
    evaluation = evaluate_elbo(model, pixels(), noise())
    layers = evaluation.rates_of_layers(model.layers)
    assert [*layers] == ["rate_layer_1", "rate_layer_2", "rate_layer_3"]
    assert min(layers.values()) > 0
    assert sum(layers.values()) == pytest.approx(evaluation.rate, rel=1e-5)
    kl = vae_output(model, pixels(), noise()).terms.kl.mean(dim=0).detach()
    assert [*layers.values()] == pytest.approx([float(part.sum()) for part in kl.split(model.layers)], rel=1e-4)
    assert vae().layers == [3]
    assert evaluate_elbo(vae(), pixels(), noise()).rates_of_layers([3]) == {}


def test_an_evaluation_takes_no_gradients():
    model = vae()
    evaluate_elbo(model, pixels(), noise())
    assert all(p.grad is None for p in model.parameters())


def flow_vae():
    """With a learned prior that has moved away from the standard normal."""
    model = vae(prior="flow")
    with torch.no_grad():
        for p in model.prior.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=noise(5)))
    return model


def test_k_draws_are_worth_the_same_on_the_average_and_bound_tighter(doubles):
    model, images = LinearGaussian(error=0.15), pixels(6, 2).double().repeat(500, 1, 1, 1)
    one, many = (vae_output(model, images, noise(), draws=k).terms for k in (1, 20))
    assert many.distortion.shape == many.rate.shape == (20, len(images))
    for name in ("distortion", "rate"):
        difference = getattr(many, name).mean(dim=0) - getattr(one, name)
        assert difference.mean().abs() < 5 * difference.std() / math.sqrt(len(images)), name
    evidence = -model.log_evidence(images).mean()
    assert evidence - 0.01 < many.loss(1.0) < one.loss(1.0) - 0.05


def test_a_learned_priors_rate_is_the_mean_log_ratio_to_it():
    model, images, repeats = flow_vae(), pixels(3).round(), 4000
    rate = vae_output(model, images.repeat_interleave(repeats, dim=0), noise()).terms.rate.view(3, repeats)
    posterior = model.encode(images)
    z = posterior.sample((repeats,))
    exact = (posterior.log_prob(z).sum(dim=-1) - model.log_prior(z)).mean(dim=0)
    assert ((rate.mean(dim=1) - exact).abs() < 8 * rate.std(dim=1) / math.sqrt(repeats)).all()
    standard = kl_to_normal(posterior).sum(dim=1)
    assert ((rate.mean(dim=1) - standard).abs() > 0.05).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_labels_reach_encoder_and_decoder(channels):
    model = vae("gaussian", channels, classes=4)
    images, label = pixels(channels=channels), torch.zeros(7, dtype=torch.int64)
    zeros, ones = (evaluate_elbo(model, images, noise(), label + y) for y in (0, 1))
    assert (zeros.means != ones.means).any()
    with torch.no_grad():
        z = torch.zeros(7, 3)
        assert (model.decode(z, label).mean != model.decode(z, label + 1).mean).any()
    with pytest.raises(RuntimeError):
        evaluate_elbo(model, images, noise())


@pytest.mark.parametrize("draws", [1, 5])
def test_gradients_reach_a_learned_prior_and_the_labels_whatever_the_draws(draws):
    model = initialised(lambda: Vae("mlp", "bernoulli", [1, 8, 8], 4, 32, -6.0, "flow", classes=3), 0, "vae", CPU)
    with torch.no_grad():
        for p in model.prior.parameters():
            p.add_(0.1)
    vae_output(model, pixels(), noise(), torch.arange(7) % 3, draws).terms.loss(1.0).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name
