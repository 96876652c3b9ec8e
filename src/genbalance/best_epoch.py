"""The epoch that is kept."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from genbalance import weights


class BestEpoch:
    """The epoch with the least of one number; of equal ones the first.

    Args:
        name: the number's.

    Attributes:
        epoch: its number, counted from 1; 0 before there is one.
        numbers: what was measured after it.
        state: the weights at its end.
        kl: of its validation, nats a latent [latents].
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.epoch = 0
        self.numbers: dict[str, float] = {}
        self.state: dict[str, Tensor] = {}
        self.kl: NDArray[np.float64] = np.empty(0)

    def consider(self, epoch: int, numbers: Mapping[str, float], network: nn.Module, kl: NDArray[np.float64]) -> None:
        """Keeps an epoch's end if it is better than all before."""
        if not self.epoch or numbers[self._name] < self.numbers[self._name]:
            self.epoch, self.numbers, self.state, self.kl = epoch, dict(numbers), weights.snapshot(network), kl

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"epoch": self.epoch, "numbers": self.numbers, "state": self.state, "kl": self.kl}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Becomes what ``state_dict`` was told by."""
        self.epoch, self.numbers = state_dict["epoch"], state_dict["numbers"]
        self.state, self.kl = state_dict["state"], state_dict["kl"]
