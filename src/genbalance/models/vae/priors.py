"""Priors p(z) of a VAE: the standard normal, a mixture that is fitted, and two that are learned.

Shapes: latents z [..., L]. A prior computes log p(z), nats [...], and maps standard normal noise [B, L] to draws z.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genbalance.models.vae.mlp import perceptron
from genbalance.runtime.arithmetic import exp, log
from genbalance.runtime.rng import SILVER

LARGEST_LOG_SCALE = 2.0  # of one coupling: keeps the flow invertible in float32
LEAST_WEIGHT = 1e-30  # a component without weight counts as much, so that its logarithm is finite
PSEUDO_INPUTS = 200  # K images through the encoder at each step
LARGER_STEPS = 10.0  # of their weights, so that Adam moves a pixel by hundredths a step


def _products(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Of matrices [n, L, L] and vectors [n, L], each with its own, [n, L]: by torch's sums, as MKL adds up in another
    order on each vendor's processors."""
    return (matrices * vectors[:, None]).sum(dim=2)


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


def _chosen(noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """A component k [B] with the probabilities ``weights`` [K], and standard normal numbers [B, L] that do not depend
    on it, both out of standard normal ``noise`` [B, L], L ≥ 2.

    The angle of the noise's first two numbers in the plane, as a share of the circle, is uniform and independent of
    their distance from the origin. It chooses k, whose part of the circle is as wide as its weight; where in this part
    it lies is uniform again, and becomes the angle of the point that takes their place. Noise that is moved leads
    through one component after another.
    """
    turn = (torch.atan2(noise[:, 1], noise[:, 0]) / (2 * math.pi) + 0.5).double()
    upper = weights.double().cumsum(dim=0)
    last = (weights > 0).long().cumsum(dim=0).argmax()  # where rounding leaves the sum below 1
    k = torch.minimum((turn[:, None] >= upper).sum(dim=1), last)
    return k, _turned(noise, 2 * math.pi * ((turn - upper[k]) / weights[k] + 0.5))


def _turned(noise: Tensor, angle: Tensor) -> Tensor:
    """``noise`` [B, L] with its first two numbers, as a point in the plane, as far from the origin as they were and at
    ``angle`` [B], float64."""
    # torch has the root from MKL, with other last bits for each vendor, which float64 rounds away; a runtime for ONNX
    # has no float64 cosine
    distance = noise[:, :2].double().square().sum(dim=1).sqrt()
    point = torch.stack([distance * (angle + math.pi / 2).sin(), distance * angle.sin()], dim=1)
    return torch.cat([point.to(noise.dtype), noise[:, 2:]], dim=1)


def even_noise(count: int, latents: int, chance: torch.Generator) -> Tensor:
    """Standard normal noise [count, L], L ≥ 2, out of which a mixture's components are drawn evenly: among any n
    consecutive rows each has its weight's share of n, but for a few.

    Each row alone is standard normal. Together the angles that choose (:func:`_chosen`) follow multiples of an
    irrational number from a random start, as a GAN's conditions do (``Conditions.draw``); of another number than the
    labels beside them, so that each label has each component.
    """
    noise = torch.randn(count, latents, generator=chance, device=chance.device)
    start = torch.rand(1, generator=chance, device=chance.device, dtype=torch.float64)
    turn = (start + SILVER * torch.arange(count, device=chance.device).double()) % 1
    return _turned(noise, 2 * math.pi * (turn - 0.5))


class GaussianMixture(nn.Module):
    """p(z) = Σ π_k·N(z; μ_k, S_k·S_kᵀ), fitted to q(z|x) (`training/mixture.py`); before, it is N(0, I).

    Buffers: ``weights`` π [K]; ``means`` μ [K, L]; ``scales`` S [K, L, L], lower triangular, and their ``inverses``.
    """

    weights: Tensor
    means: Tensor
    scales: Tensor
    inverses: Tensor

    def __init__(self, latents: int, components: int) -> None:
        super().__init__()
        identity = torch.zeros(latents, latents).fill_diagonal_(1)  # unlike eye, simple where tensors have no memory
        self.register_buffer("weights", torch.zeros(components, components).fill_diagonal_(1)[0])
        self.register_buffer("means", torch.zeros(components, latents))
        self.register_buffer("scales", identity.repeat(components, 1, 1))
        self.register_buffer("inverses", identity.repeat(components, 1, 1))

    @torch.no_grad()
    def set(self, weights: Tensor, means: Tensor, scales: Tensor) -> None:
        """Takes over as many components as these have, K at most; the others have no weight. They are of the last
        latents where they have fewer than L, and the others stay N(0, I)."""
        count, latents = means.shape
        self.weights.zero_()[:count] = weights / weights.sum()
        self.means[:count, -latents:], self.scales[:count, -latents:, -latents:] = means, scales
        identity = torch.eye(latents, dtype=scales.dtype, device=scales.device)
        inverses = torch.linalg.solve_triangular(scales, identity, upper=False)
        self.inverses[:count, -latents:, -latents:] = inverses

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z)."""
        count, latents = self.means.shape
        rows = z.reshape(-1, latents) @ self.inverses.flatten(0, 1).T
        normal = rows.view(-1, count, latents) - _products(self.inverses, self.means)
        log_slope = log(self.inverses.diagonal(dim1=1, dim2=2)).sum(dim=1)
        each = _log_normal(normal) + log_slope + log(self.weights.clamp(min=LEAST_WEIGHT))
        largest = each.detach().amax(dim=1, keepdim=True)
        return (log(exp(each - largest).sum(dim=1)) + largest[:, 0]).view(z.shape[:-1])

    def draw(self, noise: Tensor) -> Tensor:
        """z = μ_k + S_k·ε of noise [B, L], L ≥ 2, which also chooses k (:func:`_chosen`)."""
        k, normal = _chosen(noise, self.weights)
        return self.means[k] + _products(self.scales[k], normal)


class PseudoInputs(nn.Module):
    """The learned images u_1 … u_K of a VampPrior, p(z) = 1/K Σ q(z|u_k) (Tomczak & Welling 2018, arXiv:1705.07120,
    equation 9).

    Called, it gives them, [K, C, H, W] in (0, 1). They start as noise about a grey level: equal ones would stay equal.
    """

    def __init__(self, shape: Sequence[int], count: int = PSEUDO_INPUTS) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(count, *shape) / LARGER_STEPS)

    def forward(self) -> Tensor:
        """All of them."""
        return (LARGER_STEPS * self.raw).sigmoid()


@dataclass(frozen=True)
class PosteriorMixture:
    """p(z) = 1/K Σ N(z; μ_k, σ_k²), the ``components`` of batch shape [K, L]."""

    components: Normal

    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z). The squares are multiplied out, as products of matrices in float64, where no digit that is wanted
        is lost by it: not [..., K, L] in memory."""
        mean, deviation, point = self.components.mean.double(), self.components.stddev.double(), z.double()
        precision = deviation.pow(-2)
        products = point.square() @ precision.T - 2 * point @ (mean * precision).T
        squares = products + (mean.square() * precision).sum(dim=1)
        each = -(squares + point.shape[-1] * math.log(2 * math.pi)) / 2 - log(deviation).sum(dim=1)
        return (each.logsumexp(dim=-1) - math.log(len(mean))).to(z.dtype)

    def draw(self, noise: Tensor) -> Tensor:
        """z = μ_k + σ_k·ε of noise [B, L], L ≥ 2, which also chooses k (:func:`_chosen`)."""
        mean, deviation = self.components.mean, self.components.stddev
        k, normal = _chosen(noise, torch.full((len(mean),), 1 / len(mean), device=noise.device))
        return mean[k] + deviation[k] * normal


Prior = StandardNormal | RealNvp | GaussianMixture | PosteriorMixture
