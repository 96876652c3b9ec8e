"""q(z|x) as encoders give it, and draws of it. Shapes: noise and latents [..., B, L], of B images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.nn.functional import softplus

from genbalance.runtime.arithmetic import exp

LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -30.0, 14.0  # of q(z|x), far beyond use: exp() stays within float32


@dataclass(frozen=True)
class Draw:
    """z ~ q(z|x).

    Attributes:
        latents: z [..., B, L].
        conditional: what each latent was drawn from, given the image and the latents drawn before it: its log densities
            at z add up to log q(z|x). Batch shape [B, L], or that of z where it depends on the draw.
        decoded: p(x|z) of the rows of z, one row after another, where drawing z has made it on the way.
    """

    latents: Tensor
    conditional: Normal
    decoded: Distribution | None = None


class IndependentNormal(Normal):
    """q(z|x) of latents that are independent of one another."""

    def draw(self, noise: Tensor) -> Draw:
        """z = μ + σ·ε, through which gradients reach the encoder."""
        return Draw(self.mean + self.stddev * noise, self)


def normal_of(outputs: Tensor) -> IndependentNormal:
    """The normal whose means and, before their bounds, log variances are the ``outputs`` of a network: [B, 2·L], or
    maps [B, 2·C, H, W]."""
    mean, log_variance = at_least_float32(outputs).chunk(2, dim=1)
    # softplus bounds, which a gradient leads back from
    log_variance = LARGEST_LOG_VARIANCE - softplus(LARGEST_LOG_VARIANCE - log_variance)
    log_variance = LEAST_LOG_VARIANCE + softplus(log_variance - LEAST_LOG_VARIANCE)
    return IndependentNormal(mean, exp(log_variance.div(2)), validate_args=False)


def at_least_float32(outputs: Tensor) -> Tensor:
    """What a network computed in half precision goes on in float32, where sums over pixels are taken."""
    return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
