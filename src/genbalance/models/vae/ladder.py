"""A ladder of three layers of latents, each given those above it (Sønderby et al. 2016, arXiv:1602.02282).

Generation goes down from the third layer: a state h, of the latents so far, gives the mean μ of the prior N(μ, I) of a
layer, whose latents z change h by a residual cell; the last h is decoded to pixels. Inference goes up once, without
chance, and then down through the same cells; q of a layer is relative to its prior, N(μ + Δμ, Δσ²), with Δμ and Δσ out
of h and of what the images say (Vahdat & Kautz 2020, arXiv:2007.03898, equation 2, with a prior of deviation 1: a
learned one shuts most latents off in the first hundred steps, before they have a part in the image).

What the rest of the program has as the latents of a layer is z − μ: z but for a shift that the layers above determine.
Whatever these are, it is N(0, I) under the prior and N(Δμ, Δσ²) under q. q(z|x) / p(z) is the same for both, and with
it the rate, in closed form layer by layer, and every bound; standard normal noise is a draw of the prior.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from genbalance.models.vae.conv import RESIDUAL, conv_decoder, conv_encoder, zeroed
from genbalance.models.vae.posteriors import Draw, IndependentNormal, normal_of

LAYERS = 3


def layer_sizes(latents: int) -> list[int]:
    """How many of L latents are in the layers 1 (the lowest, and the first in z), 2 and 3: a fifth in the third,
    three tenths in the second, rounded down and at least one, and the others in the first.

    Raises:
        ValueError: there are fewer latents than layers.
    """
    if latents < LAYERS:
        raise ValueError(f"latents is {latents} with arch = ladder; allowed: at least {LAYERS}, one for each layer")
    third, second = max(1, latents // 5), max(1, 3 * latents // 10)
    return [latents - second - third, second, third]


class _Cell(nn.Module):
    """A residual cell of linear layers, which starts as the identity. It has no normalization, under which latents
    compete from the first step on, and most of them end without a part in the image."""

    def __init__(self, state: int, hidden: int) -> None:
        super().__init__()
        last = zeroed(nn.Linear(hidden, state))
        self.branch = nn.Sequential(nn.SiLU(), nn.Linear(state, hidden), nn.SiLU(), last)

    def forward(self, state: Tensor) -> Tensor:
        residual: Tensor = self.branch(state)
        return state + residual


class LadderEncoder(nn.Module):
    """Images [B, C, H, W], (C, H, W) = ``shape``, → what they say to each layer of ``sizes``, [B, 2 · size]: residual
    cells, from which the layers are reached one after the other, behind a single linear layer or, from 32 pixels a side
    on, the convolutional encoder."""

    def __init__(self, shape: Sequence[int], sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.trunk = (
            nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), width))
            if max(shape[1:]) < RESIDUAL
            else conv_encoder(shape, width, width)
        )
        self.cells = nn.ModuleList(_Cell(width, width // 2) for _ in sizes)
        self.heads = nn.ModuleList(nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * size)) for size in sizes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """From the first layer on."""
        state, evidence = self.trunk(images), []
        for cell, head in zip(self.cells, self.heads, strict=True):
            state = cell(state)
            evidence.append(head(state))
        return evidence


class _Layer(nn.Module):
    """A layer of ``size`` latents: its prior and its posterior out of the state, and what its latents do to that."""

    def __init__(self, size: int, state: int) -> None:
        super().__init__()
        self.prior = nn.Sequential(nn.SiLU(), zeroed(nn.Linear(state, size)))
        self.posterior = nn.Sequential(nn.SiLU(), zeroed(nn.Linear(state, 2 * size)))
        self.taken = nn.Linear(size, state)
        self.cell = _Cell(state, state)

    def infer(self, state: Tensor, evidence: Tensor) -> IndependentNormal:
        """N(Δμ, Δσ²)."""
        return normal_of(evidence + self.posterior(state))

    def forward(self, state: Tensor, latents: Tensor) -> Tensor:
        """The state below."""
        lower: Tensor = self.cell(state + self.taken(self.prior(state) + latents))
        return lower


class TopDown(nn.Module, ABC):
    """A decoder whose latents are drawn layer by layer on its way from the highest down.

    Inputs are latents [N, L], the lowest layer's first, and behind them what is known of the label.

    Attributes:
        sizes: how many latents each layer has.
        layers: the lowest first. One makes the state below it, of the state above it and its latents; its ``infer``
            makes N(Δμ, Δσ²) of that state and of what the encoder says to it.
        pixels: makes the decoder's outputs of the last state.
    """

    sizes: list[int]
    layers: Any
    pixels: nn.Module

    @abstractmethod
    def start(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """What the layers are given, [N, …] each, and the state above them."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Of the generation alone."""
        latents, state = self.start(inputs)
        for k in reversed(range(len(latents))):
            state = self.layers[k](state, latents[k])
        outputs: Tensor = self.pixels(state)
        return outputs

    def infer(self, inputs: Tensor, evidence: Sequence[Tensor]) -> tuple[Tensor, Normal, Tensor]:
        """Of standard normal noise in the latents' place: latents [N, L] of q, what they were drawn from, and the state
        that ``pixels`` decodes."""
        noise, state = self.start(inputs)
        latents, means, deviations = [*noise], [*noise], [*noise]
        for k in reversed(range(len(noise))):
            found = self.layers[k].infer(state, evidence[k])
            latents[k] = found.mean + found.stddev * noise[k]
            means[k], deviations[k] = found.mean, found.stddev
            state = self.layers[k](state, latents[k])
        drawn, mean, deviation = (
            torch.cat([each.flatten(1) for each in parts], dim=1) for parts in (latents, means, deviations)
        )
        return drawn, Normal(mean, deviation, validate_args=False), state


class LadderDecoder(TopDown):
    """Latents [N, L], and behind them what is known of the label [N, ``known``], → [N, C, H′, W′] as the convolutional
    decoder makes them; and of images the latents too."""

    def __init__(self, shape: Sequence[int], sizes: Sequence[int], known: int, width: int) -> None:
        super().__init__()
        state, self.sizes = width // 2, [*sizes]
        self.top = nn.Parameter(torch.zeros(1, state))
        self.known = nn.Linear(known, state) if known else None
        self.layers = nn.ModuleList(_Layer(size, state) for size in self.sizes)
        self.pixels = nn.Sequential(nn.SiLU(), conv_decoder(shape, state, width))

    def start(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """Latents [N, size] of each layer, and the state [N, ·]."""
        *given, known = inputs.split([*self.sizes, inputs.shape[1] - sum(self.sizes)], dim=1)
        return given, self.top if self.known is None else self.top + self.known(known)


@dataclass(frozen=True)
class LadderPosterior:
    """q(z|x) of B images: each layer's normal depends on the draw of those above.

    Args:
        decoder: whose cells draw, and decode on the way.
        observe: makes p(x|z) of what ``decoder.pixels`` gives.
        evidence: of the images, [B, …] for each layer, by the encoder.
        known: of the labels [B, ·], None where there are none.
    """

    decoder: TopDown
    observe: Callable[[Tensor], Distribution]
    evidence: Sequence[Tensor]
    known: Tensor | None

    def draw(self, noise: Tensor) -> Draw:
        """One layer after the other, from the highest down."""
        latents, conditional, state = self._infer(noise)
        mean, deviation = (each.view(noise.shape) for each in (conditional.mean, conditional.stddev))
        drawn_from = Normal(mean, deviation, validate_args=False)
        return Draw(latents.view(noise.shape), drawn_from, self.observe(self.decoder.pixels(state)))

    @property
    def mean(self) -> Tensor:
        """Where each layer takes its mean: [B, L]."""
        return self._at_the_means[0]

    @property
    def stddev(self) -> Tensor:
        """Of each latent, where the layers above take their means: [B, L]."""
        return self._at_the_means[1].stddev

    @cached_property
    def _at_the_means(self) -> tuple[Tensor, Normal, Tensor]:
        first = self.evidence[0]
        return self._infer(torch.zeros(len(first), sum(self.decoder.sizes), device=first.device))

    def _infer(self, noise: Tensor) -> tuple[Tensor, Normal, Tensor]:
        rows = noise.flatten(0, -2)
        times = len(rows) // max(1, len(self.evidence[0]))
        inputs = rows if self.known is None else torch.cat([rows, self.known.repeat(times, 1)], dim=1)
        return self.decoder.infer(inputs, [each.repeat(times, *(1 for _ in each.shape[1:])) for each in self.evidence])
