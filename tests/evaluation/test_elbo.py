"""From pixels to the terms of the objective, against models whose log p(x) is known."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from genbalance.evaluation import elbo
from genbalance.evaluation.elbo import evaluate_elbo
from genbalance.losses.vae import kl_to_normal, vae_output
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised

CPU = torch.device("cpu")


def noise(seed=0):
    return generator(seed, "noise")


def vae(likelihood="bernoulli", size=8):
    return initialised(lambda: Vae("mlp", likelihood, size, 3, 32, -6.0), 0, "vae", CPU).eval()


def pixels(n=7, size=8):
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(1))


class LinearGaussian:
    """x = W·z + b + σ·ε with orthogonal columns of W, for which q(z|x) = p(z|x) is a diagonal normal."""

    likelihood = "gaussian"
    standard_prior = True

    def __init__(self, error=0.0):
        draws = torch.randn(4, 2, generator=torch.Generator().manual_seed(2)).double()
        self.w = torch.linalg.qr(draws).Q * torch.tensor([0.8, 0.3]).double()
        self.b, self.sigma, self.error = torch.full((4,), 0.5).double(), 0.2, error

    def encode(self, images, labels=None):
        variance = 1 / (1 + self.w.square().sum(dim=0) / self.sigma**2)
        mean = (images.flatten(1) - self.b) @ self.w / self.sigma**2 * variance
        return Normal(mean + self.error, variance.sqrt().expand_as(mean))

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

    def encode(self, images, labels=None):
        return Normal(torch.zeros(len(images), 3), torch.ones(len(images), 3))

    def decode(self, latents, labels=None):
        return Bernoulli(probs=torch.full((len(latents), 1, 2, 2), 0.25))


def test_without_latents_the_negative_elbo_is_minus_log_p_of_binary_pixels():
    binary = torch.tensor([[0.0, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]]).view(3, 1, 2, 2)
    evaluation = evaluate_elbo(Ignorant(), binary, noise())
    ones = binary.flatten(1).sum(dim=1).double().numpy()
    assert evaluation.rate == 0
    assert evaluation.distortion == pytest.approx(-(ones * math.log(0.25) + (4 - ones) * math.log(0.75)), rel=1e-5)
    assert evaluation.loss(1.0) == evaluation.loss(100.0) == pytest.approx(evaluation.distortion.mean())


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_distortion_plus_beta_times_rate(likelihood):
    evaluation = evaluate_elbo(vae(likelihood), pixels(), noise())
    assert evaluation.rate == pytest.approx(evaluation.rates.mean()) == pytest.approx(evaluation.kl.sum(), rel=1e-4)
    assert evaluation.rate > 0
    assert evaluation.loss(0.0) == pytest.approx(evaluation.distortion.mean())
    assert evaluation.loss(3.0) - evaluation.loss(1.0) == pytest.approx(2 * evaluation.rate)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_an_evaluation_has_a_row_an_image_and_reconstructions_in_the_unit_range(likelihood):
    evaluation = evaluate_elbo(vae(likelihood), pixels(7), noise())
    assert evaluation.distortion.shape == evaluation.rates.shape == (7,)
    assert evaluation.means.shape == (7, 3)
    assert evaluation.kl.shape == (3,)
    assert evaluation.reconstructions.shape == (7, 8, 8)
    assert evaluation.reconstructions.dtype == "float32"
    assert evaluation.reconstructions.min() >= 0
    assert evaluation.reconstructions.max() <= 1


def test_an_evaluation_in_blocks_is_that_in_one_pass(monkeypatch):
    """A posterior without spread and a likelihood without binarization: nothing is left to chance."""
    model = vae("gaussian")
    with torch.no_grad():
        model.encoder[-1].bias[3:].fill_(-60)
    whole = evaluate_elbo(model, pixels(7), noise())
    monkeypatch.setattr(elbo, "BLOCK", 3)
    blocks = evaluate_elbo(model, pixels(7), noise(9))
    for name in ("distortion", "kl", "means", "reconstructions"):
        assert getattr(blocks, name) == pytest.approx(getattr(whole, name), rel=1e-4, abs=1e-5), name


def test_a_reconstruction_is_the_mean_image_at_the_mean_latents():
    model, images = vae("gaussian"), pixels(4)
    evaluation = evaluate_elbo(model, images, noise())
    with torch.no_grad():
        expected = model.decode(model.encode(images).mean).mean[:, 0]
    assert evaluation.reconstructions == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_same_noise_gives_the_same_evaluation_and_other_noise_another():
    model, images = vae(), pixels()
    one, same, other = (evaluate_elbo(model, images, noise(seed)) for seed in (0, 0, 1))
    assert (one.distortion == same.distortion).all()
    assert (one.distortion != other.distortion).any()


def test_only_a_bernoulli_sees_binary_images(monkeypatch):
    for likelihood, values in (("bernoulli", {0.0, 1.0}), ("gaussian", set(pixels().unique().tolist()))):
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


def test_gradients_reach_every_weight_from_the_loss():
    model = vae()
    vae_output(model, pixels(), noise()).terms.loss(1.0).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_an_evaluation_takes_no_gradients():
    model = vae()
    evaluate_elbo(model, pixels(), noise())
    assert all(p.grad is None for p in model.parameters())


def flow_vae():
    """With a learned prior that has moved away from the standard normal."""
    model = initialised(lambda: Vae("mlp", "bernoulli", 8, 3, 32, -6.0, prior="flow"), 0, "vae", CPU).eval()
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


def test_labels_reach_encoder_and_decoder():
    model = initialised(lambda: Vae("mlp", "gaussian", 8, 3, 32, -6.0, classes=4), 0, "vae", CPU).eval()
    images, label = pixels(), torch.zeros(7, dtype=torch.int64)
    zeros, ones = (evaluate_elbo(model, images, noise(), label + y) for y in (0, 1))
    assert (zeros.means != ones.means).any()
    with torch.no_grad():
        z = torch.zeros(7, 3)
        assert (model.decode(z, label).mean != model.decode(z, label + 1).mean).any()
    with pytest.raises(RuntimeError):
        evaluate_elbo(model, images, noise())


@pytest.mark.parametrize("draws", [1, 5])
def test_gradients_reach_a_learned_prior_and_the_labels_whatever_the_draws(draws):
    model = initialised(lambda: Vae("mlp", "bernoulli", 8, 4, 32, -6.0, "flow", classes=3), 0, "vae", CPU)
    with torch.no_grad():
        for p in model.prior.parameters():
            p.add_(0.1)
    vae_output(model, pixels(), noise(), torch.arange(7) % 3, draws).terms.loss(1.0).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name
