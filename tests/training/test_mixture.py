"""The mixture prior: it finds what posteriors come from, and lowers their rate."""

import numpy as np
import pytest
import torch

from genbalance.models.vae.priors import GaussianMixture, StandardNormal
from genbalance.training import mixture

LATENTS = 3
SPREAD = np.eye(LATENTS) + 0.5


def fitted(means, variances, components):
    prior = GaussianMixture(LATENTS, components)
    prior.set(*map(torch.from_numpy, mixture.fit(means, variances, components, 1)))
    return prior


def images(count, seed=0):
    """The posteriors of images of two clusters, a quarter and three quarters, each with correlated means."""
    rng = np.random.default_rng(seed)
    first = rng.random(count) < 0.25
    means = np.where(first, 6.0, -3.0)[:, None] + rng.standard_normal((count, LATENTS)) @ np.linalg.cholesky(SPREAD).T
    return means, np.broadcast_to([0.1, 0.5, 2.0], means.shape)


def codes(means, variances, seed=1):
    return torch.from_numpy(means + np.sqrt(variances) * np.random.default_rng(seed).standard_normal(means.shape))


def test_it_finds_the_aggregate_posterior():
    prior = fitted(*images(4000), 2)
    order = prior.weights.argsort()
    torch.testing.assert_close(prior.weights[order], torch.tensor([0.25, 0.75]), atol=0.03, rtol=0)
    torch.testing.assert_close(prior.means[order][:, 0], torch.tensor([6.0, -3.0]), atol=0.15, rtol=0)
    expected = torch.from_numpy(SPREAD + np.diag([0.1, 0.5, 2.0])).float().expand(2, -1, -1)
    torch.testing.assert_close(prior.scales @ prior.scales.mT, expected, atol=0.2, rtol=0)


def test_one_component_has_the_moments_of_all_posteriors_together():
    means, variances = images(100)
    weights, (centre,), (scale,) = mixture.fit(means, variances, 1, 1)
    assert weights == [1]
    np.testing.assert_allclose(centre, means.mean(axis=0), atol=1e-4)
    covariance = np.cov(means.T, bias=True) + np.diag(variances.mean(axis=0)) + mixture.RIDGE * np.eye(LATENTS)
    np.testing.assert_allclose(scale @ scale.T, covariance, rtol=1e-4)


def test_posteriors_that_say_nothing_leave_the_standard_normal_whatever_the_number_of_components():
    means = 1e-3 * np.random.default_rng(0).standard_normal((200, LATENTS))
    prior = fitted(means, np.ones_like(means), 20)
    points = torch.randn(500, LATENTS, generator=torch.Generator().manual_seed(0))
    before = GaussianMixture(LATENTS, 1).log_prob(points)
    torch.testing.assert_close(prior.log_prob(points), before, atol=0.02, rtol=0)


def test_held_out_codes_are_more_likely_than_under_the_standard_normal_and_draws_are_as_likely_as_codes():
    held_out = codes(*images(2000, seed=1)).float()
    before = GaussianMixture(LATENTS, 5).log_prob(held_out).mean()
    prior = fitted(*images(2000), 5)
    after = prior.log_prob(held_out).mean()
    noise = torch.randn(2000, LATENTS, generator=torch.Generator().manual_seed(2))
    drawn = prior.log_prob(prior.draw(noise)).mean()
    assert after > before + 5
    assert abs(float(drawn - after)) < 0.2


def test_of_fewer_latents_it_is_the_prior_of_the_last_ones_and_the_others_stay_standard_normal():
    prior, alone = GaussianMixture(LATENTS + 2, 5), fitted(*images(500), 5)
    prior.set(*map(torch.from_numpy, mixture.fit(*images(500), 5, 1)))
    z = prior.draw(torch.randn(2000, LATENTS + 2, generator=torch.Generator().manual_seed(0)))
    expected = StandardNormal().log_prob(z[:, :2]) + alone.log_prob(z[:, 2:])
    torch.testing.assert_close(prior.log_prob(z), expected)
    torch.testing.assert_close(torch.cov(z[:, :2].T), torch.eye(2), atol=0.1, rtol=0)


@pytest.mark.parametrize("count", [3, 7, 50])
def test_equal_or_few_images_give_a_proper_density(count):
    for means in (np.zeros((count, LATENTS)), images(count)[0]):
        prior = fitted(means, np.zeros_like(means), 5)
        assert prior.log_prob(torch.from_numpy(means).float()).isfinite().all()
        torch.testing.assert_close(prior.weights.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("components", [6, 2])
def test_with_classes_each_has_components_of_its_own_and_the_same_weight(components):
    means, variances = images(2000)
    classes = np.where(means[:, 0] > 2, 7, 3)  # of which one has a quarter of the images
    weights, centres, _ = mixture.fit_by_class(means, variances, classes, components, 1)
    assert len(weights) == components
    np.testing.assert_allclose([weights[centres[:, 0] > 2].sum(), weights[centres[:, 0] < 2].sum()], 0.5, atol=1e-3)


def test_more_classes_than_components_share_them_by_their_number():
    means, variances = images(3000)
    weights, _, _ = mixture.fit_by_class(means, variances, np.arange(3000) % 5, 2, 1)
    np.testing.assert_allclose(np.sort(weights), [0.4, 0.6])


def test_fitted_numbers_are_rounded_so_that_last_digits_of_processors_do_not_enter():
    _, centres, scales = mixture.fit(*images(500), 5, 1)
    for numbers in (centres, scales):
        np.testing.assert_array_equal(numbers, numbers.round(4))
