"""The search for samples that copy training images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.confidence import Bootstrap
from genbalance.evaluation.judge import Reading
from genbalance.evaluation.neighbours import nearest
from genbalance.evaluation.privacy import authenticity, data_copying, nearer_to_training
from genbalance.evaluation.real import Real

SHOWN = 12


@dataclass(frozen=True)
class Copies:
    """The metrics of privacy, and the twelve samples that look most like copies.

    ``each`` holds, for the metrics that are means, the values of the samples. ``generated``, ``train`` and ``test``
    [12] are rows: of the samples, and of their nearest neighbours in the training and the test split.
    """

    copying_z: float
    each: dict[str, NDArray[np.float64]]
    generated: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def metrics(self) -> dict[str, float]:
        """authenticity, nearer_train and copying_z."""
        return {name: float(values.mean()) for name, values in self.each.items()} | {"copying_z": self.copying_z}

    def intervals(self, bootstrap: Bootstrap) -> dict[str, dict[str, float]]:
        """Of the metrics that are means."""
        return {name: bootstrap.mean(values) for name, values in self.each.items()}


def look_for_copies(samples: Reading, real: Real) -> Copies:
    """Holds samples against the training split and the test images.

    The most copied-looking are those whose distance to their nearest training image is the smallest share of that
    image's distance to its own nearest other training image.
    """
    found = authenticity(samples.features, real.train.features)
    first = np.argsort(found.ratio, kind="stable")[:SHOWN]
    beside = nearest(samples.features[first], real.test.features, 1).indices[:, 0]
    return Copies(
        copying_z=data_copying(
            found.distance,
            real.test_to_train,
            read_classes(samples.probabilities),
            read_classes(real.test.probabilities),
        ),
        each={
            "authenticity": found.authentic,
            "nearer_train": nearer_to_training(samples.features, real.floor.features, real.test.features),
        },
        generated=first,
        train=found.nearest[first],
        test=real.test_rows[beside],
    )
