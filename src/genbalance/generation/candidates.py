"""Candidates for one digit, and what the judge and the training digits say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance.data.prepared import Split
from genbalance.errors import UserError
from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.judge import Images, Judge, Reading
from genbalance.evaluation.privacy import authenticity
from genbalance.generation.realism import K, Realism
from genbalance.generation.sampler import Told

Each = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Of n candidates: ``images`` [n, S, S], the noise ``z`` [n, L] and what was ``told`` [n] that they are drawn from.

    ``number`` [n]: its place in the stream; ``read`` [n]: the class that the judge reads; ``confidence`` [n]: its
    probability of the digit asked for; ``typicality`` [n]: the realism score among the training digits of that class;
    ``nearest`` [n]: the nearest of these, as a row of the training split; ``copying`` and ``reach`` [n]: see
    :mod:`genbalance.generation.selection`; ``features`` [n, d].
    """

    images: Images
    z: torch.Tensor
    told: Told
    number: Rows
    read: Rows
    confidence: Each
    typicality: Each
    nearest: Rows
    copying: Each
    reach: Each
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def score(self) -> Each:
        """Confidence times typicality."""
        return self.confidence * self.typicality

    def rows(self, which: Rows | slice) -> "Candidates":
        """Some of them, in that order."""
        some: list[Any] = [value if value is None else value[which] for value in self._values()]
        return Candidates(*some)

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """One after another; at least one."""
        return cls(*map(_joined, zip(*(part._values() for part in parts), strict=True)))

    def _values(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


def _joined(values: Sequence[Any]) -> Any:
    if values[0] is None:
        return None
    return torch.cat(list(values)) if isinstance(values[0], torch.Tensor) else np.concatenate(values)


@dataclass(frozen=True)
class Critic:
    """Who says how good a candidate for ``digit`` is: the judge, and the training digits [m] of this class, whose
    features are ``train`` [m, d] and which are ``rows`` [m] of their split."""

    judge: Judge
    digit: int
    train: NDArray[np.float32]
    rows: Rows
    realism: Realism

    @classmethod
    def of(cls, judge: Judge, split: Split, digit: int) -> "Critic":
        """Reads the training digits of a class.

        Raises:
            UserError: there are too few.
        """
        rows = np.flatnonzero(split.labels == digit)
        if len(rows) <= K:
            raise UserError(f"digit {digit}: found {len(rows)} training digits of it; allowed: at least {K + 1}")
        train = judge.read(split.images[rows]).features
        return cls(judge, digit, train, rows, Realism.of(train))

    def examine(
        self, images: Images, reading: Reading, z: torch.Tensor, told: Told, first: int, kept: Rows
    ) -> Candidates:
        """What is to be known of those images that are ``kept``; ``first`` is the number of the first image."""
        features = reading.features[kept]
        found = authenticity(features, self.train)
        reach = np.divide(found.distance, found.ratio, out=np.zeros(len(kept)), where=found.ratio > 0)
        return Candidates(
            images=images[kept],
            z=z[kept],
            told=None if told is None else told[kept],
            number=first + kept,
            read=read_classes(reading.probabilities)[kept],
            confidence=reading.probabilities[kept, self.digit].astype(np.float64),
            typicality=self.realism.score(features),
            nearest=self.rows[found.nearest],
            copying=found.ratio,
            reach=reach,
            features=features,
        )
