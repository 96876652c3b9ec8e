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
from genbalance.runtime.arithmetic import exp, log

COMPONENTS = 5  # of a mixture: a perceptron's last layer has 10 outputs for each of them and each colour pixel
LEAST_LOG_SCALE, LARGEST_LOG_SCALE = -8.0, 7.0  # of a component: one level has all of it, or all have the same
FIRST_LOG_SCALE = -2.0  # of a component at the start, in units of v: s is a fifteenth of the range
FIRST_LOG_SIGMA = math.log(0.25)  # of the shared σ: about the spread of pixels before anything is known of them
LARGER_STEPS = 10.0  # of the shared log σ
LEAST_ABOVE = 1e-4  # of the shared log σ above its floor, where it is fitted: the floor itself has no weight


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


class SharedGaussian(nn.Module):
    """x = μ(z) + σ·ε with one σ for all pixels of all images, a weight of the model (σ-VAE: Rybkin et al. 2021,
    arXiv:2006.13202); with the same floor. The weight is log σ / 10, so that Adam moves σ by a hundredth a step and not
    by a thousandth: it has as far to go as the reconstructions improve."""

    def __init__(self, channels: int, log_sigma_floor: float) -> None:
        super().__init__()
        self.outputs, self.log_sigma_floor = channels, log_sigma_floor
        self.log_sigma = nn.Parameter(torch.full((1,), FIRST_LOG_SIGMA / LARGER_STEPS))

    @property
    def sigma(self) -> Tensor:
        """σ > 0, [1]."""
        return exp(_at_least(self.log_sigma_floor, LARGER_STEPS * self.log_sigma))

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x|z)."""
        mean = outputs.sigmoid()
        return Normal(mean, self.sigma.expand_as(mean), validate_args=False)

    def fitted(self, decoded: Distribution, images: Tensor) -> Distribution:
        """p(x|z) with the σ under which ``images``, like it [B, C, H, W], are most likely, and which the weight is set
        to: σ² is their mean squared error (Rybkin et al. 2021), above the floor's.

        Of n values an image, −log p(x|z) = n/2·log 2πσ² + S/2σ² with S the sum of their squared errors; its mean over
        the images is least at σ² = E[S]/n. No gradient needs to go through σ, where that of the loss is 0. With a
        unit variance −log p(x|z) is S/2 but for a constant, so that σ²·(L_recon + β·L_KL) = S/2 + β·σ²·L_KL + constant:
        in its units the KL has the weight β·σ².
        """
        mean = decoded.mean
        with torch.no_grad():
            log_sigma = log((images - mean).square().mean()) / 2
            above = (log_sigma - self.log_sigma_floor).clamp(min=LEAST_ABOVE)
            raw = self.log_sigma_floor + above + log(-torch.expm1(-above))  # of which _at_least makes floor + above
            self.log_sigma.fill_(raw / LARGER_STEPS)
            sigma = self.sigma
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


LIKELIHOODS: dict[str, type[_Binary | _Gaussian | SharedGaussian | _LogisticMixture]] = {
    "bernoulli": _Binary,
    "gaussian": _Gaussian,
    "gaussian_shared": SharedGaussian,
    "logistic_mixture": _LogisticMixture,
}
