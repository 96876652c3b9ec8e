"""Two ways to do one thing, timed in turn on one machine: machines are noisy, so the ratio of each pair counts."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the least and the largest."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.least:{spec}} … {self.largest:{spec}})"


@dataclass(frozen=True)
class Pairs:
    """Seconds of our way and of the reference's, pair by pair."""

    ours: list[float]
    reference: list[float]

    @property
    def speedup(self) -> Spread:
        """The reference's seconds over ours: above 1 where ours is the faster."""
        return Spread.of([theirs / own for own, theirs in zip(self.ours, self.reference, strict=True)])


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    begun = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def in_turn(ours: Callable[[], float], reference: Callable[[], float], pairs: int) -> Pairs:
    """Calls ours, reference, ours, reference …; each does its work once and returns its seconds."""
    measured = [(ours(), reference()) for _ in range(pairs)]
    return Pairs([own for own, _ in measured], [theirs for _, theirs in measured])
