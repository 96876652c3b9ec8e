"""Figures of a model's latent space: interpolations between classes, traversals of single latents of one sample."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.runtime.io import save_csv
from genbalance.sampling.interpolation import interpolation, save_sequences, traversals
from genbalance.sampling.sampler import Condition, Images, Sampler

PAIRS, STEPS = 5, 9
ROWS = 8  # latents, at most
SPAN = 3.0  # a latent goes from -SPAN to SPAN


@dataclass(frozen=True)
class LatentFigures:
    """Interpolations [rows, steps, H, W(, 3)] between samples that the classifier reads as ``ends`` (from, to) a row,
    and traversals of ``latents``, one a row, of a sample that it reads as ``start``. Without classes, ``ends`` and
    ``start`` are the samples' numbers, from 0."""

    interpolations: Images
    ends: tuple[tuple[int, int], ...]
    traversals: Images
    latents: tuple[int, ...]
    start: int

    @classmethod
    def of(
        cls, sampler: Sampler, z: Tensor, condition: Condition, probabilities: NDArray[np.floating] | None
    ) -> "LatentFigures":
        """Between and around the samples that the classifier reads most surely as a class, one of each; it reads
        another class in them where the model has dropped the class. Without classes, between and around the first
        samples.

        Args:
            sampler: the model.
            z: latents of the samples [n, L].
            condition: of the samples [n].
            probabilities: of the classes, as the classifier reads the samples [n, C]; None where there are no classes.
        """
        if probabilities is None:
            surest = np.arange(min(2 * PAIRS, len(z)))
            read = surest.tolist()
        else:
            surest = probabilities.argmax(axis=0)
            read = probabilities[surest].argmax(axis=1).tolist()
        places = torch.from_numpy(surest).to(z.device)
        points, known = z[places], None if condition is None else condition[places]
        classes = len(surest)
        pairs = [(first, (first + 1) % classes) for first in range(0, classes, 2)][:PAIRS]
        between = [
            interpolation(sampler, points[[*pair]], None if known is None else known[[*pair]], STEPS) for pair in pairs
        ]
        # a 3 of ten digits: more strokes to change than a 0 or a 1
        start = classes // 3 if probabilities is not None else 0
        values = torch.linspace(-SPAN, SPAN, STEPS, device=z.device)
        here = None if known is None else known[start : start + 1]
        along = traversals(sampler, points[start], here, values, range(sampler.latent_dim))
        shown = tuple(along)[:ROWS]
        return cls(
            interpolations=np.stack(between),
            ends=tuple((read[first], read[last]) for first, last in pairs),
            traversals=np.stack([along[latent] for latent in shown]),
            latents=shown,
            start=read[start],
        )

    def save(self, folder: Path) -> None:
        """As interpolations.png and traversals.png, each beside a CSV that says what its rows are."""
        save_sequences(folder / "interpolations.png", self.interpolations)
        save_csv(folder / "interpolations.csv", pd.DataFrame(self.ends, columns=["from", "to"]))
        save_sequences(folder / "traversals.png", self.traversals)
        rows = pd.DataFrame({"latent": self.latents})
        save_csv(folder / "traversals.csv", rows.assign(**{"class": self.start, "low": -SPAN, "high": SPAN}))
