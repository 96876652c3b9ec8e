"""The parts of the KL, against closed forms and torch's own mixtures."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genbalance.evaluation import kl_decomposition as module
from genbalance.evaluation.kl_decomposition import KlDecomposition, kl_decomposition


def normal(n, latents, seed):
    return np.random.default_rng(seed).standard_normal((n, latents))


def posteriors(n=150, latents=5, seed=0):
    """Means, deviations and noise of some images, no two alike, with latents that depend on each other."""
    means = normal(n, latents, seed) @ normal(latents, latents, seed + 1)
    return means, np.exp(normal(n, latents, seed + 2) / 2 - 1), normal(n, latents, seed + 3)


def terms(found: KlDecomposition):
    return [found.index_code_mi, found.total_correlation, found.dimension_wise_kl]


def test_where_every_posterior_is_the_prior_all_terms_are_zero():
    found = kl_decomposition(np.zeros((200, 6)), np.ones((200, 6)), normal(200, 6, 0))
    assert terms(found) == pytest.approx([0, 0, 0], abs=1e-12)


def test_a_code_that_tells_every_image_apart_has_log_n_nats_of_information():
    """One latent far apart from image to image, beside two that are the prior: they depend on nothing."""
    n = 64
    means, deviations = np.zeros((n, 3)), np.ones((n, 3))
    means[:, 1] = 100 * np.arange(n)
    found = kl_decomposition(means, deviations, normal(n, 3, 0))
    assert found.index_code_mi == pytest.approx(math.log(n), rel=1e-12)
    assert found.total_correlation == pytest.approx(0, abs=1e-12)


def test_a_code_that_tells_groups_apart_has_the_entropy_of_the_groups():
    groups = np.repeat([0, 1, 2], [10, 20, 70])
    found = kl_decomposition(100.0 * groups[:, None], np.ones((100, 1)), normal(100, 1, 0))
    shares = np.array([0.1, 0.2, 0.7])
    assert found.index_code_mi == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-12)
    assert found.total_correlation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("copies", [2, 3])
def test_latents_that_copy_one_that_tells_n_images_apart_have_log_n_nats_in_common_for_each_copy(copies):
    n = 50
    means = np.tile(100.0 * np.arange(n)[:, None], copies)
    found = kl_decomposition(means, np.ones((n, copies)), normal(n, copies, 0))
    assert found.index_code_mi == pytest.approx(math.log(n), rel=1e-12)
    assert found.total_correlation == pytest.approx((copies - 1) * math.log(n), rel=1e-12)


@pytest.mark.parametrize("sharp", [1.0, 1e-4])
def test_no_code_tells_more_than_log_n(sharp):
    means, deviations, noise = posteriors()
    found = kl_decomposition(means, sharp * deviations, noise)
    assert found.index_code_mi <= math.log(len(means)) + 1e-12
    assert found.index_code_mi > 1


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.9, 1.0])
def test_a_gaussian_aggregate_has_the_terms_of_a_gaussian_in_closed_form(correlation):
    """Means of covariance C and one deviation σ: q(z) tends to N(0, C + σ²·I) = N(0, S). With R its correlations, the
    information is ½ log det(S/σ²), the total correlation −½ log det R, and latent j is ½(S_jj − 1 − log S_jj) from
    N(0, 1). Of 3,000 images each is within 0.06."""
    n, deviation = 3000, 0.5
    of_means = np.array([[1.5, 1.5 * correlation], [1.5 * correlation, 1.5]])
    root = np.linalg.svd(of_means)[0] * np.sqrt(np.linalg.svd(of_means)[1])
    found = kl_decomposition(normal(n, 2, 0) @ root.T, np.full((n, 2), deviation), normal(n, 2, 1))
    aggregate = of_means + deviation**2 * np.eye(2)
    variances = np.diag(aggregate)
    expected = [
        np.log(np.linalg.det(aggregate / deviation**2)) / 2,
        -np.log(np.linalg.det(aggregate / np.sqrt(np.outer(variances, variances)))) / 2,
        (variances - 1 - np.log(variances)).sum() / 2,
    ]
    assert terms(found) == pytest.approx(expected, abs=0.06)
    assert (found.total_correlation > 0.1) == (correlation != 0)


def test_the_terms_add_up_to_the_kl():
    """To the closed form of the mean KL within four standard errors of its estimate by one draw each, which they add
    up to exactly."""
    means, deviations, noise = posteriors(n=1000)
    z = means + deviations * noise
    drawn = (z**2 - noise**2).sum(axis=1) / 2 - np.log(deviations).sum(axis=1)
    closed = ((means**2 + deviations**2 - 1) / 2 - np.log(deviations)).sum(axis=1)
    total = sum(terms(kl_decomposition(means, deviations, noise)))
    assert total == pytest.approx(drawn.mean(), rel=1e-12)
    error = (drawn - closed).std() / math.sqrt(len(means))
    assert error < closed.mean() / 20
    assert total == pytest.approx(closed.mean(), abs=4 * error)


def test_the_aggregate_is_the_mixture_of_all_posteriors():
    means, deviations, noise = map(torch.from_numpy, posteriors(n=40))
    z, even = means + deviations * noise, Categorical(torch.ones(40, dtype=torch.float64))
    joint = MixtureSameFamily(even, Independent(Normal(means, deviations), 1)).log_prob(z)
    apart = [MixtureSameFamily(even, Normal(means[:, j], deviations[:, j])).log_prob(z[:, j]) for j in range(5)]
    marginals = torch.stack(apart).sum(dim=0)
    expected = (
        Independent(Normal(means, deviations), 1).log_prob(z) - joint,
        joint - marginals,
        marginals - Normal(0, 1).log_prob(z).sum(dim=1),
    )
    found = kl_decomposition(*posteriors(n=40))
    assert terms(found) == pytest.approx([float(each.mean()) for each in expected], rel=1e-12)


@pytest.mark.parametrize("pairs", [1, 700])
def test_the_size_of_blocks_has_no_effect(pairs, monkeypatch):
    whole = kl_decomposition(*posteriors())
    monkeypatch.setattr(module, "PAIRS", pairs)
    assert terms(kl_decomposition(*posteriors())) == pytest.approx(terms(whole), rel=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_order_of_images_and_of_latents_has_no_effect(axis):
    expected = terms(kl_decomposition(*posteriors()))
    turned = [np.flip(each, axis) for each in posteriors()]
    assert terms(kl_decomposition(*turned)) == pytest.approx(expected, rel=1e-12)


def test_units_and_origins_of_latents_move_the_dimension_wise_kl_alone():
    means, deviations, noise = posteriors()
    found, moved = kl_decomposition(means, deviations, noise), kl_decomposition(7 * means + 3, 7 * deviations, noise)
    assert terms(moved)[:2] == pytest.approx(terms(found)[:2], rel=1e-9)
    assert moved.dimension_wise_kl > 2 * found.dimension_wise_kl


@pytest.mark.parametrize("counts", [(9, 10, 10), (10, 9, 10), (10, 10, 1), (0, 0, 0)])
def test_arrays_of_unlike_shapes_and_empty_ones_are_refused(counts):
    given = [each[:count] for each, count in zip(posteriors(), counts, strict=True)]
    with pytest.raises(ValueError, match=rf"shapes \({counts[0]}, 5\), .*; allowed: \[n, L\], all the same, n ≥ 1"):
        kl_decomposition(*given)
