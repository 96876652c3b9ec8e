"""−log p(x) of the same images by the same network, ours and pythae's."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.pairs import seconds
from genbalance.evaluation.likelihood import importance_weighted_bound
from genbalance.models.vae import Vae
from genbalance.runtime.errors import UserError

PROGRAM = Path(__file__).with_name("pythae_nll.py")


@dataclass
class Ours:
    """The bound of each of ``images`` [n, C, H, W] with ``draws``; ``nll`` [n] is that of the latest call."""

    model: Vae
    images: Tensor
    draws: int
    noise: torch.Generator
    nll: NDArray[np.float64] | None = None

    def __call__(self) -> float:
        """Seconds."""
        return seconds(self._measure)

    def _measure(self) -> None:
        self.nll = importance_weighted_bound(self.model, self.images, self.draws, self.noise)


@dataclass
class Pythae:
    """The same in pythae's own interpreter, which is handed the ``weights`` and ``images`` as files."""

    python: Path
    weights: Path
    images: Path
    draws: int
    threads: int
    nll: NDArray[np.float64] | None = None

    def __call__(self) -> float:
        """Seconds, without the start of the interpreter.

        Raises:
            UserError: pythae fails.
        """
        arguments = [PROGRAM, self.weights, self.images, self.draws, self.threads]
        done = subprocess.run([str(self.python), "-I", *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"pythae fails: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
        answer = json.loads(done.stdout)
        self.nll = np.array(answer["nll"])
        return float(answer["seconds"])


def agreement(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """The difference of the mean −log p(x) in nats, and its standard error over the images: chance in the draws."""
    differences = ours - theirs
    return float(differences.mean()), float(differences.std(ddof=1) / len(differences) ** 0.5)
