"""Are samples copies of training images? Three metrics, and the samples that look most like copies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.bootstrap import Bootstrap
from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.features import Features
from genbalance.evaluation.neighbours import Points, nearer, nearest
from genbalance.evaluation.reference import Real
from genbalance.runtime.errors import UserError

FEWEST = 20  # images of either kind in a cell, for the normal approximation to hold
SHOWN = 12  # samples that look most like copies

Each = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Authenticity:
    """Of each of n samples: whether it is ``authentic`` (1, 0), its ``nearest`` training image and the ``distance`` to
    it, and the ``ratio`` of this over that image's distance to its own nearest other training image (a copy: 0)."""

    authentic: Each
    nearest: Rows
    distance: Each
    ratio: Each


def authenticity(generated: Points, train: Points) -> Authenticity:
    """A sample [n, d] is authentic where it is further from its nearest training image than that is from the others.

    AuthPct is the mean (Alaa et al. 2022, arXiv:2102.08921). Where the training image has a duplicate, its
    own distance is 0: then a sample that is not a third copy is authentic, with the largest float64 as its ratio.

    Raises:
        UserError: there are fewer than two training images.
    """
    found = nearest(generated, train, 1)
    distance, rows = found.distances[:, 0], found.indices[:, 0]
    distinct, place = np.unique(rows, return_inverse=True)
    # two nearest, of which one is the image itself or its duplicate: the second is the nearest other one
    own = nearest(train[distinct], train, 2).distances[place, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(distance == 0, 0.0, distance / own)
    ratio = ratio.clip(max=np.finfo(np.float64).max)
    return Authenticity((nearer(own, distance) == 1).astype(np.float64), rows, distance, ratio)


def nearer_to_training(generated: Points, train: Points, test: Points) -> Each:
    """Whether each sample [n, d] is nearer to a training than to a test image: 1, 0, or ½ where equally near.

    With as many of the one as of the other (both [m, d]) the mean is ½ for a model that learned the distribution and
    memorised nothing.

    Raises:
        UserError: there are not as many.
    """
    if len(train) != len(test):
        raise UserError(f"nearer to training: found {len(train)} training and {len(test)} test; allowed: equally many")
    to_train, to_test = (nearest(generated, points, 1).distances[:, 0] for points in (train, test))
    return nearer(to_train, to_test)


def data_copying(generated: Each, test: Each, generated_cells: Rows, test_cells: Rows) -> float:
    """C_T: whether samples lie nearer to the training images than test images do, in standard deviations.

    Meehan et al. 2020 (arXiv:2004.05675): in each cell of the space the z-score of the Mann-Whitney U
    statistic of the distances to the nearest training image, ``generated`` [n] against ``test`` [m]; the mean over the
    cells, weighted by their share of the test images. Far below 0: copies; far above: samples lie where no data are.
    Cells with fewer than 20 of either are left out, and where none is left the whole space is one cell.
    """
    weights, scores = [], []
    for cell in np.unique(test_cells):
        ours, theirs = generated[generated_cells == cell], test[test_cells == cell]
        if min(len(ours), len(theirs)) >= FEWEST:
            weights.append(len(theirs))
            scores.append(_z_score(ours, theirs))
    return float(np.average(scores, weights=weights)) if scores else _z_score(generated, test)


def _z_score(a: Each, b: Each) -> float:
    """Of U, the number of pairs in which a is the larger, ties counting half; 0 where all values are equal."""
    n, m = len(a), len(b)
    _, places, ties = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    ranks = (ties.cumsum() - (ties - 1) / 2)[places]  # from 1; equal values share the mean of theirs
    u = ranks[:n].sum() - n * (n + 1) / 2
    total = n + m
    variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0


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


def find_copies(samples: Features, real: Real) -> Copies:
    """Compares samples with the training split and the test images.

    The most copied-looking are those whose distance to their nearest training image is the smallest share of that
    image's distance to its own nearest other training image. The cells of C_T are the classes that are read; without
    classes there is one cell.
    """
    found = authenticity(samples.features, real.train.features)
    first = np.argsort(found.ratio, kind="stable")[:SHOWN]
    beside = nearest(samples.features[first], real.test.features, 1).indices[:, 0]
    return Copies(
        copying_z=data_copying(
            found.distance,
            real.test_to_train,
            *(
                read_classes(reading.probabilities) if real.has_classes else np.zeros(len(reading.features), np.int64)
                for reading in (samples, real.test)
            ),
        ),
        each={
            "authenticity": found.authentic,
            "nearer_train": nearer_to_training(samples.features, real.floor.features, real.test.features),
        },
        generated=first,
        train=found.nearest[first],
        test=real.test_rows[beside],
    )
