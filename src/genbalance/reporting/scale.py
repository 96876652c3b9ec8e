"""Numbers as positions on a scale, and the cards that hold such scales."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Place = Callable[[float], float]
"""Where a number stands on a scale, in per cent of its length."""

DECADES = 4  # how far below the ceiling a scale reaches whose floor is zero or, as KID's may be, below


@dataclass(frozen=True)
class Mark:
    """A number on a scale: ``at`` in per cent of its length, None when there is no place for it.

    ``reach`` are the ends of its interval there, ``span`` is the interval as text, ``name`` tells the marks of a row
    apart.
    """

    kind: str
    text: str
    at: float | None
    reach: tuple[float, float] | None = None
    span: str = ""
    name: str = ""


@dataclass(frozen=True)
class Row:
    """One question's marks; ``tick`` in per cent and ``note`` tell what real images get, where it is measured."""

    label: str
    marks: tuple[Mark, ...]
    kind: str = ""
    tick: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """Rows that share their two ends; ``tick`` says what the ticks between these are."""

    rows: tuple[Row, ...]
    low: str
    high: str
    tick: str = ""


@dataclass(frozen=True)
class Card:
    """One question, answered by marks on scales; a ``wide`` one is two cards across where there is room."""

    title: str
    hint: str
    scales: tuple[Scale, ...]
    wide: bool = False


def position(value: float, floor: float, ceiling: float) -> float:
    """Where ``value`` stands between ``floor`` (0) and ``ceiling`` (100), in per cent of a logarithmic scale, clamped.

    A floor that is no positive number has no logarithm: the scale then begins four decades below the ceiling.
    """
    start = floor if floor > 0 else ceiling * 10**-DECADES
    if not 0 < start < ceiling:  # real images measure no better than the mean image: nothing lies between
        return 0.0 if value <= floor else 100.0
    return 100 * min(1.0, math.log(max(value, start) / start) / math.log(ceiling / start))


def linear(value: float, low: float, high: float) -> float:
    """Where ``value`` stands between ``low`` (0) and ``high`` (100), in per cent, clamped."""
    return 100 * min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0
