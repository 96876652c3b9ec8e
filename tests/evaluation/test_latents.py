"""Active units, and the rate latent by latent."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genbalance.evaluation.latents import active_units, kl_per_latent


@pytest.mark.parametrize("active", [0, 1, 4, 6])
def test_latents_that_vary_over_the_images_are_counted(active):
    signs = np.tile([1.0, -1.0], 50)[:, None]
    deviations = np.where(np.arange(6) < active, 0.11, 0.09)  # variances 0.0121 and 0.0081 around the 0.01 of the paper
    assert active_units(signs * deviations) == active


def test_where_a_latent_lies_does_not_make_it_active():
    assert active_units(np.full((50, 4), 3.7, dtype=np.float32)) == 0
    varying = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    assert active_units(varying + 1000) == active_units(varying) == 4


def posteriors():
    rng = np.random.default_rng(1)
    return rng.normal([0, 1, -2], [1.0, 0.2, 3], (400, 3)), rng.uniform(0.1, 1.2, (400, 3))


def test_against_a_standard_prior_it_is_the_closed_form_kl_of_torch():
    means, deviations = posteriors()
    mine = Normal(torch.from_numpy(means), torch.from_numpy(deviations))
    exact = kl_divergence(mine, Normal(torch.zeros(3).double(), torch.ones(3).double())).mean(dim=0).numpy()
    assert kl_per_latent(means, deviations) == pytest.approx(exact, rel=1e-12)


def test_against_no_known_prior_it_asks_what_a_latent_tells_wherever_it_lies():
    means, deviations = posteriors()
    found = kl_per_latent(means, deviations, standard=False)
    assert kl_per_latent(3 * means + 5, 3 * deviations, standard=False) == pytest.approx(found, rel=1e-9)
    assert (found < kl_per_latent(means, deviations)).all()
    same = kl_per_latent(np.full((9, 2), 4.0), np.full((9, 2), 0.3), standard=False)
    assert same == pytest.approx(0, abs=1e-12)


def test_it_bounds_the_mutual_information_of_a_gaussian_channel_and_is_it_there():
    """E[z|x] ~ N(0, s²) and q(z|x) = N(E, 1): the aggregate is normal, I = ½ log(1 + s²)."""
    n = 200_000
    means = np.random.default_rng(2).normal(0, 2, (n, 1))
    assert kl_per_latent(means, np.ones((n, 1)), standard=False) == pytest.approx(0.5 * np.log(5), rel=0.01)
