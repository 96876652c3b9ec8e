"""Alarms: what the numbers of a training say when it goes wrong, and what to try then."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.runtime.errors import UserError

PATIENCE = 3  # epochs in a row
BEGINNING = 1 / 3  # share of the epochs that raise none: many a good training begins as a bad one goes on
MEASURED = 2000  # images of a total variance, at most
ALARMS = "alarms"  # the key of metrics/train_*.json that they stand under
TAG = "alarm."  # and the alarm's name: the tag of a run


@dataclass(frozen=True)
class Alarm:
    """Is raised once, when a column of the curves has been on the wrong side of a bound for :data:`PATIENCE` epochs,
    those of the :data:`BEGINNING` apart.

    Attributes:
        name: what has happened, in one word.
        column: of curves.csv. A training without it cannot raise the alarm.
        bound: the first value that is wrong.
        above: larger values are wrong, too; else smaller ones.
        says: what has happened, with {value} of the column.
        advice: what to try.
    """

    name: str
    column: str
    bound: float
    above: bool
    says: str
    advice: str

    def is_raised(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last of these epochs are all wrong."""
        values = [row[self.column] for row in rows[-PATIENCE:] if self.column in row]
        return len(values) == PATIENCE and all(v >= self.bound if self.above else v <= self.bound for v in values)


DIVERGENCE = "divergence"

KNOWN = (
    Alarm(
        "discriminator_won",
        "d_ranking_held_out",
        0.995,
        True,
        "the discriminator has won: it ranks {value:.1%} of held-out images above generated ones",
        "a larger lambda, or a larger R1 penalty",
    ),
    Alarm(
        "mode_collapse",
        "sample_variance",
        0.2,
        False,
        "mode collapse: the samples vary {value:.1%} as much as training images",
        "a smaller learning rate, more clusters, or the relativistic loss with R2",
    ),
    Alarm(
        "posterior_collapse",
        "val_rate",
        0.1,
        False,
        "posterior collapse: the latents carry {value:.2g} nats of an image",
        "a smaller beta, a KL warm-up, or free bits",
    ),
)


class DivergedError(UserError):
    """A number is NaN or infinite: the training has diverged."""


def raised(rows: Sequence[Mapping[str, float]], count: int, before: Container[str]) -> dict[str, str]:
    """The alarms that the last of these epochs, of ``count`` in all, raises, each in a sentence by its name, but for
    those of ``before``."""
    found: dict[str, str] = {}
    late = rows[math.ceil(BEGINNING * count) :]
    for alarm in KNOWN:
        if alarm.name not in before and alarm.is_raised(late):
            says = alarm.says.format(value=rows[-1][alarm.column])
            found[alarm.name] = f"epoch {int(rows[-1]['epoch'])}: {says}; try {alarm.advice}"
    return found


def total_variance(images: NDArray[np.uint8]) -> float:
    """The variances of all pixels of images [n, …], in units of [0, 1], added up; of the first 2,000 at most. Sums of
    whole numbers, so that no order of addition can change it."""
    pixels = images[:MEASURED].reshape(min(len(images), MEASURED), -1).astype(np.int64)
    count = len(pixels)
    return int((count * np.square(pixels).sum(axis=0) - np.square(pixels.sum(axis=0))).sum()) / (count * 255) ** 2
