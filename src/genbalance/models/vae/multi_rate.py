"""One network for a whole range of β (the multi-rate VAE: Bae et al. 2023, arXiv:2212.03905).

Each linear layer and convolution of encoder and decoder gives outputs that are scaled and shifted, channel by channel,
by functions of log β (FiLM: Perez et al. 2018, arXiv:1709.07871). Those of the encoder's last layer let β move the
deviations of q(z|x) over orders of magnitude. Before training, β changes nothing.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from genbalance.runtime.arithmetic import log

FEATURES = 32  # functions of log β, learned, which scales and shifts are made of, beside log β itself


class BetaInput(nn.Module):
    """Functions of log β, [1, 1 + FEATURES], or [B, 1 + FEATURES] where each image has a β of its own.

    Args:
        ends: the least and the largest β, between which log β is mapped to −1 … 1.
        beta: what is given where nothing else is.

    Attributes:
        beta: that is given now.
    """

    def __init__(self, ends: Sequence[float], beta: float) -> None:
        super().__init__()
        low, high = map(math.log, ends)
        self._middle, self._half = (high + low) / 2, (high - low) / 2
        self.beta: float | Tensor = beta
        self.first, self.second = nn.Linear(1, FEATURES), nn.Linear(FEATURES, FEATURES)

    def forward(self) -> Tensor:
        """Of the β that is given now."""
        weight = self.first.weight
        betas = torch.as_tensor(self.beta, dtype=weight.dtype, device=weight.device)
        place = (log(betas).reshape(-1, 1) - self._middle) / self._half
        return torch.cat([place, silu(self.second(silu(self.first(place))))], dim=1)

    @contextmanager
    def at(self, beta: float | Tensor) -> Iterator[None]:
        """Gives another β within it: a number, or one an image [B]."""
        before, self.beta = self.beta, beta
        try:
            yield
        finally:
            self.beta = before


class Modulated(nn.Module):
    """A layer [B, ·] → [B, C, …], whose C outputs are scaled and shifted by functions of log β."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, beta: BetaInput) -> None:
        super().__init__()
        self.layer = layer
        self._input = (beta,)  # not a part of this layer: all have the same
        channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        self.modulation = nn.Linear(1 + FEATURES, 2 * channels)
        for parameter in self.modulation.parameters():
            nn.init.zeros_(parameter)

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer's outputs for the β that is given."""
        outputs: Tensor = self.layer(inputs)
        scale, shift = self.modulation(self._input[0]()).chunk(2, dim=1)
        size = (*scale.shape, *[1] * (outputs.dim() - 2))
        modulated: Tensor = outputs * (1 + scale.view(size)) + shift.view(size)
        return modulated


def modulate(network: nn.Module, beta: BetaInput) -> nn.Module:
    """The network with each of its linear layers and convolutions replaced by a modulated one."""
    for name, layer in network.named_children():
        inner = Modulated(layer, beta) if isinstance(layer, nn.Linear | nn.Conv2d) else modulate(layer, beta)
        setattr(network, name, inner)
    return network
