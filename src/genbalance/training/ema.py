"""A moving average of weights that starts as a plain one, counted on the host: no step waits for a GPU."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class MovingAverage(Generic[M]):
    """The exponential moving average of a network's weights and of its running statistics.

    The n-th update weighs what is there by min(decay, (n − 1)/n): the plain mean of all weights so far, until the
    window of 1/(1 − decay) updates is full. With the constant decay alone, a short training would be left with the
    weights that it started with. (torch's AveragedModel keeps its count in a tensor, which each step on a GPU waits
    for.)

    Attributes:
        module: a copy of the network with the averaged weights, in evaluation mode.
    """

    def __init__(self, network: M, decay: float) -> None:
        self.module: M = deepcopy(network).eval().requires_grad_(False)
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def update(self, network: M) -> None:
        """Takes the network's present weights in; whole numbers, such as counts, are copied."""
        self._updates += 1
        kept = min(self._decay, (self._updates - 1) / self._updates)
        pairs = list(zip(_tensors(self.module), _tensors(network), strict=True))
        floats = [(own, new) for own, new in pairs if own.is_floating_point()]
        torch._foreach_lerp_([own for own, _ in floats], [new for _, new in floats], 1 - kept)
        for own, new in pairs:
            if not own.is_floating_point():
                own.copy_(new)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and how many updates they are of."""
        return {"module": self.module.state_dict(), "updates": self._updates}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.module.load_state_dict(state_dict["module"])
        self._updates = state_dict["updates"]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
