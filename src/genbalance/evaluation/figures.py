"""The figures and tables of an evaluated model, as files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbalance.data import pictures
from genbalance.data.prepared import Prepared
from genbalance.evaluation.suite import Samples
from genbalance.runtime.io import save_csv
from genbalance.sampling.latent_figures import LatentFigures
from genbalance.sampling.sampler import Sampler

SHOWN = 12  # images a row


def save_figures(
    folder: Path, sampler: Sampler, samples: Samples, dataset: Prepared, reconstructions: NDArray[np.uint8]
) -> None:
    """Writes what every model has.

    - classes.csv, which has no rows where there are no two classes.
    - nearest.png: the most copied-looking of the samples, their nearest training and their nearest test images, a row
      each.
    - reconstructions.png: the first test images above the first of their ``reconstructions`` uint8.
    - interpolations.png and traversals.png, each beside a CSV that says what its rows are.
    """
    copies = samples.measured.copies
    save_csv(folder / "classes.csv", samples.measured.classes)
    nearest = (samples.images[copies.generated], dataset.train.images[copies.train], dataset.test.images[copies.test])
    pictures.save_png(folder / "nearest.png", pictures.grid(np.concatenate(nearest), len(copies.generated)))
    shown = min(SHOWN, len(reconstructions))
    pairs = np.concatenate([dataset.test.images[:shown], reconstructions[:shown]])
    pictures.save_png(folder / "reconstructions.png", pictures.grid(pairs, shown))
    probabilities = samples.features.probabilities if dataset.has_classes else None
    LatentFigures.of(sampler, samples.z, samples.condition, probabilities).save(folder)
