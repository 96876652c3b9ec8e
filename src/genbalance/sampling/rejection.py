"""Rejection sampling: candidates of a model, block by block, of which those are accepted that the reference classifier
reads as the digit wanted. It serves models with and without classes alike."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.features import FeatureExtractor, Features
from genbalance.sampling.sampler import Condition, Images, Sampler, draws

CONFIDENCE = 0.9  # least probability of the digit wanted, by the reference classifier


@dataclass(frozen=True)
class Accepted:
    """Candidates of one block: ``images`` uint8 [n, H, W(, 3)], the latents ``z`` [n, L] and ``condition`` [n] that
    they are drawn from, their ``number`` [n] in the random stream, from 0, and the classifier's ``reading`` of them."""

    images: Images
    z: Tensor
    condition: Condition
    number: NDArray[np.int64]
    reading: Features

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class Counts:
    """How many candidates were drawn (``tried``), of these ``read`` as the digit, of these accepted (``confident``),
    and, where they are chosen from, how many of the accepted copy neither a training image nor one another
    (``usable``)."""

    tried: int = 0
    read: int = 0
    confident: int = 0
    usable: int = 0


@dataclass(frozen=True)
class RejectionSampler:
    """Draws candidates until they are enough for the caller.

    Args:
        sampler: the model.
        extractor: the reference classifier.
        digit: the class wanted; None: any.
        noise: the random stream of the candidates.
        block: how many are decoded and read at a time; a fixed number, so that a candidate's number names it.
        tries: how many at most.
    """

    sampler: Sampler
    extractor: FeatureExtractor
    digit: int | None
    noise: torch.Generator
    block: int
    tries: int
    counts: Counts = field(default_factory=Counts)

    def accepted(self, least: float | None) -> Iterator[Accepted]:
        """The candidates that the classifier reads as the digit with a probability of at least ``least``, or all of
        them for None; it ends after the last try."""
        for z, condition in draws(self.sampler, self.block, self.noise, self.digit):
            left = self.tries - self.counts.tried
            images = self.sampler.images(z, condition)
            reading = self.extractor.read(images)
            is_digit = read_classes(reading.probabilities) == self.digit
            is_sure = reading.probabilities.max(axis=1) >= (least or 0)
            rows = np.flatnonzero((is_digit & is_sure | (least is None))[:left])
            first = self.counts.tried
            self.counts.tried += min(self.block, left)
            self.counts.read += int(is_digit[:left].sum())
            self.counts.confident += len(rows)
            if len(rows):
                known = None if condition is None else condition[rows]
                yield Accepted(images[rows], z[rows], known, first + rows, reading.rows(rows))
            if self.counts.tried >= self.tries:
                return
