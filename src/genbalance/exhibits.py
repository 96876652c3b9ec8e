"""What a person looks at of a model that has been measured."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genbalance import pictures
from genbalance.tables import save_csv

if TYPE_CHECKING:
    from genbalance.data.prepared import Prepared
    from genbalance.evaluation.samples import Measured

SHOWN = 12  # images a row


def exhibit(
    folder: Path,
    measured: "Measured",
    samples: NDArray[np.uint8],
    digits: "Prepared",
    rebuilt: NDArray[np.uint8],
) -> None:
    """Writes classes.csv; nearest.png, rows of the most copied-looking of the ``samples`` [n, S, S], their nearest
    training and their nearest test digits; and reconstructions.png, the first test digits above the first of
    ``rebuilt`` [m, S, S], what a model made of them."""
    copies = measured.copies
    save_csv(folder / "classes.csv", measured.classes)
    nearest = (samples[copies.generated], digits.train.images[copies.train], digits.test.images[copies.test])
    pictures.save_png(folder / "nearest.png", pictures.grid(np.concatenate(nearest), len(copies.generated)))
    shown = min(SHOWN, len(rebuilt))
    pairs = np.concatenate([digits.test.images[:shown], rebuilt[:shown]])
    pictures.save_png(folder / "reconstructions.png", pictures.grid(pairs, shown))
