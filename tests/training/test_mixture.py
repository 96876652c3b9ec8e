"""The mixture prior: it finds what codes were drawn from, and lowers their rate."""

import numpy as np
import torch

from genbalance.models.vae.priors import GaussianMixture
from genbalance.training import mixture

LATENTS = 3


def fitted(some, components):
    prior = GaussianMixture(LATENTS, components)
    prior.set(*map(torch.from_numpy, mixture.fit(some, components, 1)))
    return prior


def codes(count, seed=0):
    """Of two clusters, a quarter and three quarters, each with correlated latents."""
    rng = np.random.default_rng(seed)
    first = rng.random(count) < 0.25
    shape = np.linalg.cholesky(np.eye(LATENTS) + 0.5)
    return (np.where(first, 6.0, -3.0)[:, None] + rng.standard_normal((count, LATENTS)) @ shape.T).astype(np.float32)


def test_it_finds_the_distribution_of_the_codes():
    prior = fitted(codes(4000), 2)
    order = prior.weights.argsort()
    torch.testing.assert_close(prior.weights[order], torch.tensor([0.25, 0.75]), atol=0.03, rtol=0)
    torch.testing.assert_close(prior.means[order][:, 0], torch.tensor([6.0, -3.0]), atol=0.15, rtol=0)
    covariances = prior.scales @ prior.scales.mT
    expected = (torch.eye(LATENTS) + 0.5).expand(2, -1, -1)
    torch.testing.assert_close(covariances, expected, atol=0.2, rtol=0)


def test_held_out_codes_are_more_likely_than_under_the_standard_normal_and_draws_are_as_likely_as_codes():
    held_out = torch.from_numpy(codes(2000, seed=1))
    before = GaussianMixture(LATENTS, 5).log_prob(held_out).mean()
    prior = fitted(codes(2000), 5)
    after = prior.log_prob(held_out).mean()
    noise = torch.randn(2000, LATENTS, generator=torch.Generator().manual_seed(2))
    drawn = prior.log_prob(prior.draw(noise)).mean()
    assert after > before + 5
    assert abs(float(drawn - after)) < 0.2


def test_equal_codes_and_few_of_them_give_a_proper_density():
    for some in (np.zeros((50, LATENTS), dtype=np.float32), codes(7), codes(3)):
        prior = fitted(some, 5)
        assert prior.log_prob(torch.from_numpy(some)).isfinite().all()
        torch.testing.assert_close(prior.weights.sum(), torch.tensor(1.0))


def test_fitted_numbers_are_rounded_so_that_last_digits_of_processors_do_not_enter():
    _, means, scales = mixture.fit(codes(500), 5, 1)
    for numbers in (means, scales):
        np.testing.assert_array_equal(numbers, numbers.round(4))
