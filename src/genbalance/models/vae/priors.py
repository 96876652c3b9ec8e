"""Priors p(z) of a VAE: the standard normal, and one that is learned.

Shapes: latents z [..., L]. A prior computes log p(z), nats [...], and maps standard normal noise [..., L] to draws z.
"""

import math

import torch
from torch import Tensor, nn

from genbalance.models.vae.mlp import perceptron
from genbalance.runtime.arithmetic import exp

LARGEST_LOG_SCALE = 2.0  # of one coupling: keeps the flow invertible in float32


def _log_normal(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=-1)


class StandardNormal(nn.Module):
    """p(z) = N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z)."""
        return _log_normal(z)

    def draw(self, noise: Tensor) -> Tensor:
        """The noise itself."""
        return noise


class _Coupling(nn.Module):
    """Of the latents in a given order, those from ``kept`` on as u = z·exp(s) + t, s and t functions of those before.
    Starts as the order alone."""

    order: Tensor

    def __init__(self, order: Tensor, kept: int, width: int) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.sizes = [kept, len(order) - kept]
        last = nn.Linear(width, 2 * self.sizes[1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(perceptron(kept, width, width), last)

    def _scale_and_shift(self, known: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.net(known).chunk(2, dim=-1)
        return LARGEST_LOG_SCALE * torch.tanh(scale / LARGEST_LOG_SCALE), shift

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z → u, and log |du/dz| [...]."""
        known, changed = z[..., self.order].split(self.sizes, dim=-1)
        log_scale, shift = self._scale_and_shift(known)
        return torch.cat([known, changed * exp(log_scale) + shift], dim=-1), log_scale.sum(dim=-1)

    def inverse(self, u: Tensor) -> Tensor:
        """u → z."""
        known, changed = u.split(self.sizes, dim=-1)
        log_scale, shift = self._scale_and_shift(known)
        return torch.cat([known, (changed - shift) * exp(-log_scale)], dim=-1)[..., self.order.argsort()]


def _pair(latents: int, width: int) -> list[_Coupling]:
    """Two couplings that between them change every latent: halves of a random order, and the same halves swapped."""
    half = latents // 2
    swapped = torch.arange(latents).roll(-half)
    return [_Coupling(torch.randperm(latents), half, width), _Coupling(swapped, latents - half, width)]


class RealNvp(nn.Module):
    """A normalizing flow: u = f(z) is standard normal, log p(z) = log N(f(z); 0, I) + log |df/dz|.

    A shift and a scale of each latent, then affine couplings (Dinh et al. 2017, arXiv:1605.08803), learned together
    with the decoder as the prior of a VAE (Chen et al. 2017, arXiv:1611.02731). Before training it is standard normal.
    """

    def __init__(self, latents: int, pairs: int, width: int) -> None:
        super().__init__()
        self.shift, self.log_scale = nn.Parameter(torch.zeros(latents)), nn.Parameter(torch.zeros(latents))
        self.couplings = nn.ModuleList(coupling for _ in range(pairs) for coupling in _pair(latents, width))

    def _chain(self) -> list[_Coupling]:
        return [coupling for coupling in self.couplings if isinstance(coupling, _Coupling)]

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z)."""
        z, total = (z - self.shift) * exp(self.log_scale), self.log_scale.sum()
        for coupling in self._chain():
            z, log_slope = coupling(z)
            total = total + log_slope
        return _log_normal(z) + total

    def draw(self, noise: Tensor) -> Tensor:
        """z = f⁻¹(noise)."""
        for coupling in reversed(self._chain()):
            noise = coupling.inverse(noise)
        return noise * exp(-self.log_scale) + self.shift


Prior = StandardNormal | RealNvp
