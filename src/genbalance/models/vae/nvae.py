"""A hierarchy of latents that are maps, as in NVAE (Vahdat & Kautz 2020, arXiv:2007.03898), but small.

Generation goes down from a learned map of features h: through four groups of latents at a quarter of the image's side
and, after a doubling, three at half of it; a last doubling leads to pixels. In each group h gives the mean μ and the
deviation σ of the prior N(μ, σ²), and latents z of it change h by residual cells. Inference goes up once, without
chance, and then down through the same cells; q of a group is relative to its prior, N(μ + σ·Δμ, (σ·Δσ)²), with Δμ and
Δσ out of h and of what the images say (equation 2 there).

As of a ladder (:mod:`genbalance.models.vae.ladder`), what the rest of the program has as latents is (z − μ)/σ, which is
N(0, I) under the prior and N(Δμ, Δσ²) under q whatever the groups above say; the rate is the same for both. Cells start
as the identity and have no normalization (as in Child 2021, arXiv:2011.10650).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from genbalance.models.vae.conv import zeroed
from genbalance.models.vae.ladder import TopDown
from genbalance.models.vae.posteriors import IndependentNormal, at_least_float32, normal_of
from genbalance.runtime.arithmetic import exp

QUARTERS, HALVES = 4, 3  # groups at a quarter and at half of the side
CELLS = 3  # of the encoder at each of them
LARGEST_LOG_SCALE = 4.0  # of a prior's deviation: far beyond use


def group_shapes(shape: Sequence[int], latents: int) -> list[list[int]]:
    """[c, H, W] of the groups' latents, the lowest first, for images (C, H, W): about so many latents in all, with
    twice the channels at a quarter of the side, rounded up, and at least one channel at half of it."""
    height, width = (-(-side // 4) for side in shape[1:])
    a_channel = height * width * (4 * HALVES + 2 * QUARTERS)
    channels = max(1, round(latents / a_channel))
    return HALVES * [[channels, 2 * height, 2 * width]] + QUARTERS * [[2 * channels, height, width]]


class _Cell(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), which starts as the identity."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, hidden, 3, padding=1)
        self.second = zeroed(nn.Conv2d(hidden, channels, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.second(silu(self.first(silu(features))))
        return features + residual


class NvaeEncoder(nn.Module):
    """Images [B, C, H, W] → features for each group, the lowest first: maps [B, C′, H′, W′] of its size, of ``width``
    channels at half of the side and twice as many at a quarter."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        channels, height, wide = shape
        self.padding = (0, -wide % 4, 0, -height % 4)
        self.halved = nn.Conv2d(channels, width, 5, stride=2, padding=2)
        self.half_cells = nn.ModuleList(_Cell(width, width) for _ in range(CELLS))
        self.quartered = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.quarter_cells = nn.ModuleList(_Cell(2 * width, 2 * width) for _ in range(CELLS))

    def forward(self, images: Tensor) -> list[Tensor]:
        """A group at the same side as another has features that went through as many cells or more."""
        features, halves, quarters = self.halved(pad(2 * images - 1, self.padding)), [], []
        for cell in self.half_cells:
            halves.append(features := cell(features))
        features = self.quartered(silu(features))
        for cell in self.quarter_cells:
            quarters.append(features := cell(features))
        evidence = [halves[min(k, CELLS - 1)] for k in range(HALVES)]
        return evidence + [quarters[min(k, CELLS - 1)] for k in range(QUARTERS)]


class _Group(nn.Module):
    """Latents [c, H, W] = ``shape`` at a state of ``channels``: their prior, their posterior and what they change. A
    ``last`` one at its side doubles the state, with half of the channels."""

    def __init__(self, shape: Sequence[int], channels: int, last: bool) -> None:
        super().__init__()
        self.shape, latents, hidden = shape, shape[0], max(1, channels // 2)
        self.prior = nn.Sequential(_Cell(channels, hidden), nn.SiLU(), zeroed(nn.Conv2d(channels, 2 * latents, 1)))
        self.posterior = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(2 * channels, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            zeroed(nn.Conv2d(hidden, 2 * latents, 1)),
        )
        self.taken = nn.Conv2d(latents, channels, 1)
        self.cell = _Cell(channels, channels)
        doubling = nn.SiLU(), nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.PixelShuffle(2)
        self.doubled = nn.Sequential(*(doubling if last else ()))

    def infer(self, state: Tensor, evidence: Tensor) -> IndependentNormal:
        """N(Δμ, Δσ²), maps [N, c, H, W]."""
        return normal_of(self.posterior(torch.cat([state, evidence], dim=1)))

    def forward(self, state: Tensor, latents: Tensor) -> Tensor:
        """The state below, of latents [N, c, H, W] in units of the prior."""
        mean, scale = at_least_float32(self.prior(state)).chunk(2, dim=1)
        deviation = exp(LARGEST_LOG_SCALE * torch.tanh(scale / LARGEST_LOG_SCALE))
        lower: Tensor = self.doubled(self.cell(state + self.taken(mean + deviation * latents)))
        return lower


class _Pixels(nn.Module):
    """The last state, at half of the side, → [N, C, H′, W′], H′ ≥ H, W′ ≥ W, with a bias for each pixel."""

    def __init__(self, channels: int, width: int, height: int, wide: int) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.before = _Cell(width, width)
        self.doubled = nn.Sequential(nn.SiLU(), nn.Conv2d(width, 4 * inner, 3, padding=1), nn.PixelShuffle(2))
        self.after = nn.Sequential(_Cell(inner, inner), nn.SiLU(), nn.Conv2d(inner, channels, 3, padding=1))
        self.bias = nn.Parameter(torch.zeros(channels, height, wide))

    def forward(self, state: Tensor) -> Tensor:
        outputs: Tensor = self.after(self.doubled(self.before(state)))
        return outputs + self.bias


class NvaeDecoder(TopDown):
    """Latents [N, L] of groups of these shapes, and behind them what is known of the label [N, ``known``], →
    [N, C, H′, W′]; and of images the latents too. The state has ``width`` channels at half of the side and twice as
    many at a quarter."""

    def __init__(self, outputs: int, groups: Sequence[Sequence[int]], known: int, width: int) -> None:
        super().__init__()
        (_, *half), (_, *quarter) = groups[0], groups[-1]
        self.sizes = [channels * height * wide for channels, height, wide in groups]
        self.top = nn.Parameter(torch.zeros(1, 2 * width, *quarter))
        self.known = nn.Linear(known, 2 * width) if known else None
        widths = HALVES * [width] + QUARTERS * [2 * width]
        self.layers = nn.ModuleList(
            _Group(shape, channels, last=k == HALVES)
            for k, (shape, channels) in enumerate(zip(groups, widths, strict=True))
        )
        self.pixels = _Pixels(outputs, width, *(2 * side for side in half))

    def start(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps of each group, and a map of features."""
        *given, known = inputs.split([*self.sizes, inputs.shape[1] - sum(self.sizes)], dim=1)
        maps = [each.view(-1, *layer.shape) for each, layer in zip(given, self.layers, strict=True)]
        top = self.top.expand(inputs.shape[0], -1, -1, -1)
        return maps, top if self.known is None else top + self.known(known)[:, :, None, None]
