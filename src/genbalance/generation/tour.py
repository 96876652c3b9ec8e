"""A tour of a model's latent space: from digit to digit, and what its latents do to one of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.generation.animation import save_ways
from genbalance.generation.sampler import Images, Sampler, Told
from genbalance.generation.ways import interpolation, traversals
from genbalance.tables import save_csv

WAYS, STEPS = 5, 9
ROWS = 8  # latents, at most
SPAN = 3.0  # how far a latent is taken to either side


@dataclass(frozen=True)
class Tour:
    """Ways [rows, steps, S, S] between samples that the judge reads as ``ends`` (from, to) a row, and traversals of
    ``latents``, one a row, of a sample that it reads as ``start``."""

    between: Images
    ends: tuple[tuple[int, int], ...]
    along: Images
    latents: tuple[int, ...]
    start: int

    def save(self, folder: Path) -> None:
        """As interpolations.png and traversals.png, each beside a CSV that says what its rows are."""
        save_ways(folder / "interpolations.png", self.between)
        save_csv(folder / "interpolations.csv", pd.DataFrame(self.ends, columns=["from", "to"]))
        save_ways(folder / "traversals.png", self.along)
        rows = pd.DataFrame({"latent": self.latents})
        save_csv(folder / "traversals.csv", rows.assign(**{"class": self.start, "low": -SPAN, "high": SPAN}))


def tour(sampler: Sampler, z: Tensor, told: Told, probabilities: NDArray[np.floating]) -> Tour:
    """Between and around those samples that a judge takes most surely for a class, one of each; what it reads them as
    is another one where the model has dropped the class.

    Args:
        sampler: the model.
        z: noise of the samples [n, L].
        told: what it was told of them [n].
        probabilities: of the classes, as the judge reads the samples [n, C].
    """
    surest = probabilities.argmax(axis=0)
    read = probabilities[surest].argmax(axis=1).tolist()
    places = torch.from_numpy(surest).to(z.device)
    points, known = z[places], None if told is None else told[places]
    classes = len(surest)
    pairs = [(first, (first + 1) % classes) for first in range(0, classes, 2)][:WAYS]
    rows = [interpolation(sampler, points[[*pair]], None if known is None else known[[*pair]], STEPS) for pair in pairs]
    start = classes // 3  # a 3 of ten digits: more strokes to change than a 0 or a 1
    values = torch.linspace(-SPAN, SPAN, STEPS, device=z.device)
    here = None if known is None else known[start : start + 1]
    ways = traversals(sampler, points[start], here, values, range(sampler.latents))
    shown = tuple(ways)[:ROWS]
    return Tour(
        between=np.stack(rows),
        ends=tuple((read[first], read[last]) for first, last in pairs),
        along=np.stack([ways[latent] for latent in shown]),
        latents=shown,
        start=read[start],
    )
