"""The likelihoods of ``vae.likelihood``: what a decoder's outputs are read as, p(x|z).

Each is made with the number of channels C and the least log σ, takes ``outputs`` numbers for a pixel,
[B, outputs, H, W], and returns a distribution of images [B, C, H, W] in [0, 1].
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import softplus

from genbalance.models.vae.logistic_mixture import DiscretizedLogisticMixture
from genbalance.runtime.arithmetic import exp

COMPONENTS = 5  # of a mixture: a perceptron's last layer has 10 outputs for each of them and each colour pixel
LEAST_LOG_SCALE, LARGEST_LOG_SCALE = -8.0, 7.0  # of a component: one level has all of it, or all have the same
FIRST_LOG_SCALE = -2.0  # of a component at the start, in units of v: s is a fifteenth of the range
FIRST_LOG_SIGMA = math.log(0.25)  # of the shared σ: about the spread of pixels before anything is known of them
LARGER_STEPS = 10.0  # of the shared log σ


class _Binary(nn.Module):
    """Each value is 0 or 1."""

    def __init__(self, channels: int, log_sigma_floor: float) -> None:  # noqa: ARG002
        super().__init__()
        self.outputs = channels

    def forward(self, outputs: Tensor) -> Distribution:
        return Bernoulli(logits=outputs, validate_args=False)


class _Gaussian(nn.Module):
    """x = μ(z) + σ(z)·ε with μ in (0, 1) and log σ above its floor: without one the likelihood grows without bound on
    pixels that never change."""

    def __init__(self, channels: int, log_sigma_floor: float) -> None:
        super().__init__()
        self.outputs, self.log_sigma_floor = 2 * channels, log_sigma_floor

    def forward(self, outputs: Tensor) -> Distribution:
        mean, raw = outputs.chunk(2, dim=1)
        return Normal(mean.sigmoid(), exp(_at_least(self.log_sigma_floor, raw)), validate_args=False)


class _SharedGaussian(nn.Module):
    """x = μ(z) + σ·ε with one σ for all pixels of all images, a weight of the model (σ-VAE: Rybkin et al. 2021,
    arXiv:2006.13202); with the same floor. The weight is log σ / 10, so that Adam moves σ by a hundredth a step and not
    by a thousandth: it has as far to go as the reconstructions improve."""

    def __init__(self, channels: int, log_sigma_floor: float) -> None:
        super().__init__()
        self.outputs, self.log_sigma_floor = channels, log_sigma_floor
        self.log_sigma = nn.Parameter(torch.full((1,), FIRST_LOG_SIGMA / LARGER_STEPS))

    def forward(self, outputs: Tensor) -> Distribution:
        mean = outputs.sigmoid()
        sigma = exp(_at_least(self.log_sigma_floor, LARGER_STEPS * self.log_sigma))
        return Normal(mean, sigma.expand_as(mean), validate_args=False)


class _LogisticMixture(nn.Module):
    """8-bit levels under a mixture of logistic distributions, in which each channel of a pixel knows those before."""

    def __init__(self, channels: int, log_sigma_floor: float) -> None:  # noqa: ARG002  (a probability is at most 1)
        super().__init__()
        self.channels, self.pairs = channels, channels * (channels - 1) // 2
        self.outputs = COMPONENTS * (1 + 2 * channels + self.pairs)

    def forward(self, outputs: Tensor) -> Distribution:
        of_component = outputs.unflatten(1, (-1, COMPONENTS))  # [B, parameters, K, H, W]
        logits, means, raw, coupling = of_component.split([1, self.channels, self.channels, self.pairs], dim=1)
        at_most = LARGEST_LOG_SCALE - softplus(LARGEST_LOG_SCALE - (FIRST_LOG_SCALE + raw))
        log_scales = _at_least(LEAST_LOG_SCALE, at_most)
        return DiscretizedLogisticMixture(logits[:, 0], means, log_scales, 2 * coupling.sigmoid() - 1)


def _at_least(floor: float, raw: Tensor) -> Tensor:
    """A softplus bound, which a gradient leads back from."""
    return floor + softplus(raw - floor)


LIKELIHOODS: dict[str, type[_Binary | _Gaussian | _SharedGaussian | _LogisticMixture]] = {
    "bernoulli": _Binary,
    "gaussian": _Gaussian,
    "gaussian_shared": _SharedGaussian,
    "logistic_mixture": _LogisticMixture,
}
