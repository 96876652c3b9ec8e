"""L = L_recon + β·L_KL: each term against its closed form, and what β multiplies."""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from genbalance.losses.vae import Terms, binarize, distortion, kl_to_normal, log_ratio, warmed_up

BATCH, LATENTS, SIDE = 5, 3, 4


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double()


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def reparameterize(posterior, noise):
    """z = μ + σ·ε."""
    return posterior.mean + posterior.stddev * noise


def terms(images, posterior, decoded):
    """As of one draw from a posterior with a standard normal prior."""
    kl = kl_to_normal(posterior)
    return Terms(distortion(images, decoded), kl.sum(dim=1), kl)


@pytest.fixture
def posterior():
    return Normal(randn(BATCH, LATENTS, seed=1) * 2, rand(BATCH, LATENTS, seed=2) * 2 + 0.1)


@pytest.fixture
def images():
    return (rand(BATCH, 1, SIDE, SIDE, seed=3) < 0.4).double()


@pytest.fixture
def decoded():
    return Bernoulli(probs=rand(BATCH, 1, SIDE, SIDE, seed=4) * 0.9 + 0.05)


def test_kl_is_its_closed_form(posterior, images, decoded):
    mu, sigma = posterior.mean, posterior.stddev
    expected = 0.5 * (mu**2 + sigma**2 - (sigma**2).log() - 1)
    torch.testing.assert_close(terms(images, posterior, decoded).kl, expected)


def test_kl_is_the_mean_of_log_q_over_p_under_q(posterior, images, decoded):
    z = reparameterize(posterior, randn(100_000, BATCH, LATENTS, seed=5))
    ratio = posterior.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    error = ratio.std(dim=0) / math.sqrt(len(z))
    assert ((terms(images, posterior, decoded).kl - ratio.mean(dim=0)).abs() < 5 * error).all()


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(posterior, images, decoded):
    prior = Normal(torch.zeros(BATCH, LATENTS).double(), torch.ones(BATCH, LATENTS).double())
    assert (terms(images, prior, decoded).kl == 0).all()
    assert (terms(images, posterior, decoded).kl > 0).all()


def test_the_expected_distortion_of_a_known_bernoulli_is_its_entropy():
    """All 16 images of 2 × 2 pixels, each weighted by its probability."""
    p = torch.tensor([0.1, 0.5, 0.7, 0.99]).double()
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
    weights = torch.where(images == 1, p, 1 - p).prod(dim=1)
    decoded = Bernoulli(probs=p.view(1, 1, 2, 2).expand(16, 1, 2, 2))
    prior = Normal(torch.zeros(16, 1).double(), torch.ones(16, 1).double())
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    torch.testing.assert_close((weights * terms(images.view(16, 1, 2, 2), prior, decoded).distortion).sum(), entropy)


def test_the_distortion_of_a_gaussian_is_its_closed_form(posterior):
    x, mu = rand(BATCH, 1, SIDE, SIDE, seed=6), rand(BATCH, 1, SIDE, SIDE, seed=7)
    sigma = rand(BATCH, 1, SIDE, SIDE, seed=8) + 0.05
    expected = ((x - mu) ** 2 / (2 * sigma**2) + 0.5 * torch.log(2 * torch.pi * sigma**2)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(terms(x, posterior, Normal(mu, sigma)).distortion, expected)


def test_a_distribution_of_whole_images_has_the_distortion_of_its_pixels_together():
    x, mu = rand(2, BATCH, 3, SIDE, SIDE, seed=6), rand(BATCH, 3, SIDE, SIDE, seed=7)
    pixels = Normal(mu, 0.3)
    torch.testing.assert_close(distortion(x, Independent(pixels, 3)), distortion(x, pixels))
    assert distortion(x, pixels).shape == (2, BATCH)


def test_a_gaussian_of_fixed_variance_is_squared_error_over_twice_the_variance(posterior):
    """Pixel-summed squared error with weight β is a Gaussian decoder with σ² = β/2."""
    x, beta = rand(BATCH, 1, SIDE, SIDE, seed=6), 0.3
    mu = rand(BATCH, 1, SIDE, SIDE, seed=7).requires_grad_()
    decoder = Normal(mu, torch.full_like(mu, math.sqrt(beta / 2)))
    (of_likelihood,) = torch.autograd.grad(terms(x, posterior, decoder).loss(1.0), mu)
    squares = (x - mu).square().flatten(1).sum(dim=1).mean()
    (of_squares,) = torch.autograd.grad(squares / beta, mu)
    torch.testing.assert_close(of_likelihood, of_squares)


def test_the_loss_sums_over_pixels_and_latents_and_averages_over_the_batch(posterior, images, decoded):
    once = terms(images, posterior, decoded)
    assert once.distortion.shape == once.rate.shape == (BATCH,)
    assert once.kl.shape == (BATCH, LATENTS)

    def repeated(along):
        return Normal(torch.cat([posterior.mean] * 2, dim=along), torch.cat([posterior.stddev] * 2, dim=along))

    batch = terms(torch.cat([images] * 2), repeated(0), Bernoulli(probs=torch.cat([decoded.probs] * 2)))
    torch.testing.assert_close(batch.loss(0.7), once.loss(0.7))
    latents = terms(images, repeated(1), decoded)
    torch.testing.assert_close(latents.rate, 2 * once.rate)
    torch.testing.assert_close(latents.distortion, once.distortion)
    pixels = terms(torch.cat([images] * 2, dim=2), posterior, Bernoulli(probs=torch.cat([decoded.probs] * 2, dim=2)))
    torch.testing.assert_close(pixels.distortion, 2 * once.distortion)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_beta_multiplies_the_kl_alone(images, beta):
    weights = randn(2, LATENTS, seed=9).requires_grad_()
    readout = randn(LATENTS, SIDE * SIDE, seed=10)

    def parts() -> Terms:
        posterior = Normal(weights[0].expand(BATCH, LATENTS), weights[1].exp().expand(BATCH, LATENTS))
        z = reparameterize(posterior, randn(BATCH, LATENTS, seed=11))
        return terms(images, posterior, Bernoulli(logits=(z @ readout).view(BATCH, 1, SIDE, SIDE)))

    gradient = {
        name: torch.autograd.grad(scalar, weights)[0]
        for name, scalar in {
            "loss": parts().loss(beta),
            "distortion": parts().distortion.mean(),
            "rate": parts().rate.mean(),
        }.items()
    }
    assert gradient["rate"].norm() > 0.1
    torch.testing.assert_close(gradient["loss"], gradient["distortion"] + beta * gradient["rate"])


def test_binarized_pixels_are_zero_or_one_with_the_pixel_as_their_mean():
    pixels = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
    n = 20_000
    draws = binarize(pixels.expand(n, 1, 4, 4), torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(16)))
    assert draws.dtype == pixels.dtype
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    error = (pixels * (1 - pixels) / n).sqrt()
    assert ((draws.mean(dim=0) - pixels[0]).abs() <= 5 * error[0]).all()


def test_black_and_white_stay_whatever_is_drawn():
    ends, extremes = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([0.0, 1 - 2**-24])
    for uniform in extremes:
        assert torch.equal(binarize(ends, uniform.expand(2, 1, 1, 1)), ends)


def test_binarization_is_dynamic_and_pixels_are_drawn_independently():
    noise = torch.Generator().manual_seed(17)
    grey = torch.full((4000, 1, 1, 2), 0.5)
    first, second = (binarize(grey, torch.rand(grey.shape, generator=noise)) for _ in range(2))
    assert 0.45 < (first != second).float().mean() < 0.55
    assert abs(torch.corrcoef(first.view(-1, 2).T)[0, 1]) < 0.08


def weights_of_draws(k):
    """Distortion and rate of k draws for each of a few images."""
    return 80 + 3 * randn(k, BATCH, seed=18), 20 + 3 * randn(k, BATCH, seed=19)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_one_draw_by_importance_is_the_plain_objective(beta):
    lost, rate = weights_of_draws(1)
    torch.testing.assert_close(Terms(lost, rate).loss(beta), Terms(lost[0], rate[0]).loss(beta))


def test_the_importance_weighted_loss_is_minus_the_log_of_the_mean_weight():
    lost, rate = weights_of_draws(7)
    weights = (-(lost - 80) - 2.0 * (rate - 20)).exp()  # about the means, so that nothing underflows
    torch.testing.assert_close(Terms(lost, rate).loss(2.0), 120 - weights.mean(dim=0).log().mean())


def test_the_importance_weighted_loss_lies_between_the_best_draws_and_the_mean_and_equal_draws_gain_nothing():
    lost, rate = weights_of_draws(9)
    each = lost + rate
    loss = Terms(lost, rate).loss(1.0)
    assert each.min(dim=0).values.mean() < loss < each.mean()
    equal = [part[:1].expand(9, BATCH) for part in (lost, rate)]
    torch.testing.assert_close(Terms(*equal).loss(1.0), Terms(lost[0], rate[0]).loss(1.0))


def test_the_importance_weighted_loss_of_draws_with_tiny_weights_is_finite():
    lost = torch.full((5, BATCH), 1e4).double().requires_grad_()
    loss = Terms(lost, torch.zeros(5, BATCH)).loss(1.0)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    torch.testing.assert_close(lost.grad.sum(), torch.tensor(1.0).double())


def test_the_log_ratio_has_the_closed_form_kl_as_its_mean(posterior):
    z = reparameterize(posterior, randn(100_000, BATCH, LATENTS, seed=20))
    ratio = log_ratio(posterior, z, Normal(0.0, 1.0).log_prob(z).sum(dim=-1))
    error = ratio.std(dim=0) / math.sqrt(len(z))
    assert ((kl_to_normal(posterior).sum(dim=1) - ratio.mean(dim=0)).abs() < 5 * error).all()


def test_the_log_ratio_is_zero_everywhere_where_posterior_and_prior_are_one():
    standard = Normal(torch.zeros(BATCH, LATENTS).double(), torch.ones(BATCH, LATENTS).double())
    z = randn(4, BATCH, LATENTS, seed=21)
    torch.testing.assert_close(log_ratio(standard, z, standard.log_prob(z).sum(dim=-1)), torch.zeros(4, BATCH).double())


def test_free_bits_below_every_kl_change_nothing_and_above_them_are_a_constant(posterior, images, decoded):
    mean = posterior.mean.clone().requires_grad_()
    found = terms(images, Normal(mean, posterior.stddev), decoded)
    least, largest = found.kl.mean(dim=0).min().item(), found.kl.mean(dim=0).max().item()
    torch.testing.assert_close(found.loss(2.0, free_bits=least * 0.99), found.loss(2.0))
    flat = found.loss(2.0, free_bits=largest * 1.01)
    torch.testing.assert_close(flat, found.distortion.mean() + 2 * LATENTS * largest * 1.01)
    (gradient,) = torch.autograd.grad(flat, mean, allow_unused=True, materialize_grads=True)
    assert (gradient == 0).all()


def test_free_bits_count_for_the_mean_over_the_batch_and_latent_by_latent():
    kl = torch.tensor([[0.0, 3.0], [1.0, 5.0]])
    found = Terms(torch.zeros(2), kl.sum(dim=1), kl)
    assert found.loss(1.0, free_bits=0.7).item() == pytest.approx(0.7 + 4.0)


def test_free_bits_without_the_kl_of_each_latent_are_refused():
    with pytest.raises(ValueError, match="KL of each latent"):
        Terms(torch.zeros(3), torch.ones(3)).loss(1.0, free_bits=0.1)


def test_the_warm_up_rises_in_proportion_to_beta_and_stays():
    assert [warmed_up(4.0, done) for done in (0.0, 0.25, 1.0, 3.0)] == [0.0, 1.0, 4.0, 4.0]


def test_sticking_the_landing_leaves_the_value_and_the_mean_gradient_alone_and_takes_noise_away():
    """Where q is the prior, the gradient through the latents alone is zero for every draw."""
    noise, gradients = randn(50_000, LATENTS, seed=22), {}
    for landing in (False, True):
        mean = torch.zeros(LATENTS).double().requires_grad_()
        posterior = Normal(mean.expand(len(noise), LATENTS), torch.ones(len(noise), LATENTS).double())
        z = reparameterize(posterior, noise)
        ratio = log_ratio(posterior, z, Normal(0.0, 1.0).log_prob(z).sum(dim=-1), landing)
        torch.testing.assert_close(ratio.detach(), torch.zeros(len(noise)).double(), atol=1e-12, rtol=0)
        (gradients[landing],) = torch.autograd.grad(ratio.mean(), mean)
    assert gradients[True].abs().max() < 1e-12
    assert gradients[False].abs().max() < 5 / math.sqrt(len(noise))


def test_sticking_the_landing_has_the_right_gradient_on_the_average():
    mean = torch.tensor([0.7, -1.2]).double().requires_grad_()
    posterior = Normal(mean.expand(200_000, 2), torch.full((200_000, 2), 0.5).double())
    z = reparameterize(posterior, randn(200_000, 2, seed=23))
    ratio = log_ratio(posterior, z, Normal(0.0, 1.0).log_prob(z).sum(dim=-1), landing=True)
    (gradient,) = torch.autograd.grad(ratio.mean(), mean)
    torch.testing.assert_close(gradient, mean.detach(), atol=0.01, rtol=0)  # d KL/dμ = μ
