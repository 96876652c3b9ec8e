"""Coefficients that find their value: the logarithm of each moves until a number measured in training is its target.

They know no model: whoever trains gives them what was measured and takes the coefficient from them.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genbalance.runtime.arithmetic import exp

LEAST_BETA, LARGEST_BETA = 1e-6, 1e6
STEP = 0.005  # of log β in a training step, at most: a tenth or ten times takes 460 steps
FULL_STEP = 5.0  # nats off the target from which on a step is the largest
KEPT, KEPT_LONGER = 0.95, 0.99  # of two moving averages of L_recon in a step
AHEAD = 200.0  # steps for which L_recon is taken to go on as it goes

LEAST_LAMBDA, LARGEST_LAMBDA = 1e-3, 1e3
FACTOR = 1.05  # between λ before a measurement and after it


class HeldDistortion:
    """β of L = L_recon + β·L_KL, moved until L_recon of the training batches is ``target`` on the average.

    GECO (Rezende & Viola 2018, arXiv:1810.00597, algorithm 1) minimises L_KL under the constraint C = L_recon − κ ≤ 0,
    by the Lagrangian L_KL + λ·C, and moves its multiplier by log λ ← log λ + ν·C̄, with C̄ a moving average of C. That
    Lagrangian divided by λ is L_recon + L_KL/λ but for a constant: the β here is 1/λ, and log β ← log β − ν·C̄. β falls
    while images are reconstructed worse than asked for, and rises while they are better. 10⁻⁶ ≤ β ≤ 10⁶, where it stays
    if no β gives that distortion.

    Two things differ from the paper, whose trainings are a thousand times as long. A step has a largest size, so that
    the first, hundreds of nats off, count as any other. And β waits while L_recon is on its way: where in 200 steps of
    the present slope, that between a shorter and a longer moving average, it would reach the target. Otherwise β would
    fall for as long as a network still learns, and what is left of the training would not be enough to raise it again.

    Args:
        beta: at the start.
        target: κ, nats per image.
        device: of the numbers, for none of which a step waits.
    """

    def __init__(self, beta: float, target: float, device: torch.device) -> None:
        self._target = target
        self._log_beta = torch.tensor(math.log(beta), device=device)
        self._averages: tuple[Tensor, Tensor] | None = None  # the shorter and the longer one

    @property
    def beta(self) -> Tensor:
        """The weight of the KL now, a scalar."""
        return exp(self._log_beta)

    def update(self, distortion: Tensor) -> None:
        """Takes L_recon of a batch in, nats per image, a scalar."""
        shorter, longer = self._averages or (distortion, distortion)
        shorter = KEPT * shorter + (1 - KEPT) * distortion
        longer = KEPT_LONGER * longer + (1 - KEPT_LONGER) * distortion
        self._averages = shorter, longer
        slope = (shorter - longer) / (1 / (1 - KEPT_LONGER) - 1 / (1 - KEPT))  # between their ages: nats a step
        off = shorter - self._target
        ahead = off + AHEAD * slope
        step = STEP * (ahead / FULL_STEP).clamp(-1, 1) * (ahead * off > 0)
        self._log_beta = (self._log_beta - step).clamp(math.log(LEAST_BETA), math.log(LARGEST_BETA))

    def state_dict(self) -> dict[str, Any]:
        """Log β and the moving averages."""
        return {"log_beta": self._log_beta, "averages": self._averages}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        device, averages = self._log_beta.device, state_dict["averages"]
        self._log_beta = state_dict["log_beta"].to(device)
        self._averages = averages and (averages[0].to(device), averages[1].to(device))


class HeldAccuracy:
    """λ = lr_G / lr_D, moved until D is right on a share ``target`` of held-out real images.

    Each measurement moves log λ by a fixed amount, by the sign of what is measured less the target, as StyleGAN2-ADA
    moves the strength of its augmentation (Karras et al. 2020, arXiv:2006.06676, section 3.1). Where D is right on more
    images it is ahead, and G takes larger steps; where on fewer, smaller ones. 0.001 ≤ λ ≤ ``largest``.

    Args:
        value: λ at the start.
        target: the share.
        largest: λ, at most.

    Attributes:
        value: λ now.
    """

    def __init__(self, value: float, target: float, largest: float = LARGEST_LAMBDA) -> None:
        self.value, self._target, self._largest = value, target, largest

    def update(self, accuracy: float) -> None:
        """Takes a measurement in."""
        if accuracy != self._target:
            moved = self.value * FACTOR if accuracy > self._target else self.value / FACTOR
            self.value = min(max(moved, LEAST_LAMBDA), self._largest)

    def state_dict(self) -> dict[str, float]:
        """λ."""
        return {"value": self.value}

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Restores the state saved by state_dict."""
        self.value = state_dict["value"]
