"""Candidates for one digit, block by block, until enough of them are good."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from genbalance.errors import UserError
from genbalance.evaluation.classes import read_classes
from genbalance.generation.candidates import Candidates, Critic
from genbalance.generation.sampler import Sampler
from genbalance.generation.selection import select, usable

BLOCK = 250  # candidates at a time; a fixed size, so that a candidate's number names it whatever is asked for
POOL = 8  # candidates to choose from, for each image wanted,
LEAST = 64  # and at least
CONFIDENCE = 0.9  # least probability that the judge gives the digit asked for


@dataclass
class Tally:
    """How many candidates were drawn (``tried``), of these ``read`` as the digit and read so with ``confidence``, and
    of the last ones how many copy neither a training digit nor one another (``usable``)."""

    tried: int = 0
    read: int = 0
    confident: int = 0
    usable: int = 0


@dataclass(frozen=True)
class Supply:
    """Of one digit.

    Args:
        sampler: the model, as ``name`` in a refusal.
        critic: of the digit.
        noise: the stream that candidates are drawn from.
        tries: how many may be drawn.
    """

    sampler: Sampler
    name: str
    critic: Critic
    noise: torch.Generator
    tries: int
    tally: Tally = field(default_factory=Tally)

    def optimised(self, count: int) -> Candidates:
        """The best ``count`` of at least as many times `POOL` confident candidates, best first (see
        :mod:`genbalance.generation.selection`); of fewer candidates where the tries are over.

        Raises:
            UserError: the tries are over, and fewer are usable.
        """
        parts: list[Candidates] = []
        for part in self._blocks(CONFIDENCE):
            parts.append(part)
            if self.tally.confident >= max(POOL * count, LEAST) and (found := self._best(parts, count)):
                return found
        if found := self._best(parts, count):
            return found
        told = self.tally
        raise UserError(
            f"digit {self.critic.digit}: of {told.tried:,} candidates of the {self.name}, the classifier read "
            f"{told.read:,} as it, {told.confident:,} of them with a probability of at least {CONFIDENCE:g}; without "
            f"near-copies {told.usable:,} are left, but {count:,} are needed; allowed: a smaller count, more --tries, "
            "or --raw"
        )

    def raw(self, count: int) -> Candidates:
        """The first ``count`` candidates as they come: of a model that cannot be asked for a digit, those that the
        judge reads as it.

        Raises:
            UserError: the tries are over before.
        """
        parts: list[Candidates] = []
        for part in self._blocks(None if self.sampler.classes else 0):
            parts.append(part)
            if sum(map(len, parts)) >= count:
                return Candidates.joined(parts).rows(np.arange(count))
        raise UserError(
            f"digit {self.critic.digit}: of {self.tally.tried:,} candidates of the {self.name}, the classifier read "
            f"{self.tally.read:,} as it, but {count:,} are needed; allowed: a smaller count or more --tries"
        )

    def _best(self, parts: Sequence[Candidates], count: int) -> Candidates | None:
        """None where fewer are usable."""
        if not parts:
            return None
        pool = Candidates.joined(parts)
        judged = (pool.features, pool.score, pool.copying, pool.reach)
        self.tally.usable = len(usable(*judged))
        return pool.rows(select(*judged, count)) if self.tally.usable >= count else None

    def _blocks(self, least: float | None) -> Iterator[Candidates]:
        """What the judge reads as the digit with a probability of at least ``least``; all that is drawn, if None."""
        while (left := self.tries - self.tally.tried) > 0:
            z, told = self.sampler.draw(BLOCK, self.noise, self.critic.digit)
            images = self.sampler.images(z, told)
            reading = self.critic.judge.read(images)
            as_asked = read_classes(reading.probabilities) == self.critic.digit
            good = as_asked & (reading.probabilities[:, self.critic.digit] >= (least or 0))
            kept = np.flatnonzero(good | (least is None))
            kept, first = kept[kept < left], self.tally.tried
            self.tally.tried += min(BLOCK, left)
            self.tally.read += int(as_asked[:left].sum())
            self.tally.confident += len(kept)
            if len(kept):
                yield self.critic.examine(images, reading, z, told, first, kept)
