"""The VAE-GAN's reconstruction term: a Gaussian's closed form, and what it does not depend on."""

import pytest
import torch
from torch.distributions import Normal

from genbalance.losses.vae_gan import feature_distortion

F = 7


def features(seed, count=400):
    return torch.randn(count, F, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 1


def negative_log_likelihood(values, mean):
    """The mean over rows of −log N(values; mean, σ²·I) at the σ² that makes the values most likely."""
    deviation = (values - mean).square().mean().sqrt()
    return -Normal(mean, deviation).log_prob(values).sum(dim=1).mean()


def test_it_is_the_likeliest_gaussians_negative_log_likelihood_relative_to_that_of_the_best_constant():
    real, rebuilt = features(0), features(0) + 0.3 * features(1)
    best_constant = real.mean(dim=0).expand_as(real)
    expected = negative_log_likelihood(real, rebuilt) - negative_log_likelihood(real, best_constant)
    torch.testing.assert_close(feature_distortion(real, rebuilt), expected)


def test_a_reconstruction_that_ignores_the_image_has_zero_a_better_one_less_and_a_worse_one_more():
    real = features(0)
    constant = real.mean(dim=0).expand_as(real)
    assert feature_distortion(real, constant).item() == pytest.approx(0, abs=1e-9)
    assert feature_distortion(real, real.lerp(constant, 0.5)) < 0 < feature_distortion(real, constant + 5)


def test_half_the_error_is_worth_log_two_a_feature():
    real, error = features(0), features(1)
    full, half = (feature_distortion(real, real + share * error) for share in (1.0, 0.5))
    assert (full - half).item() == pytest.approx(F * torch.log(torch.tensor(2.0)).item(), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_it_does_not_depend_on_the_scale_of_the_features(scale):
    real, rebuilt = features(0), features(0) + features(1)
    torch.testing.assert_close(feature_distortion(scale * real, scale * rebuilt), feature_distortion(real, rebuilt))


def test_gradients_reach_the_reconstruction_alone():
    real, rebuilt = features(0).requires_grad_(), features(1).requires_grad_()
    feature_distortion(real, rebuilt).backward()
    assert real.grad is None
    assert rebuilt.grad.abs().max() > 0


def test_a_perfect_reconstruction_and_a_constant_feature_are_finite():
    same = torch.ones(5, 3)
    assert feature_distortion(same, same).isfinite()
    assert feature_distortion(features(0), features(0)).isfinite()
