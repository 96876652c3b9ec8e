"""Line charts for the page itself: where the parts of one stand, in units of an SVG's view box. Its template gives them
the page's own colours, light and dark, and a script can mark a place of it, neither of which a PNG allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from genbalance.reporting.text import tick

WIDTH = 440
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 12, 28  # for the labels of both axes
LETTER, LINE = 8, 15  # of a label, in its larger size on phones

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A curve through the mean of each group.

    Attributes:
        label: what its legend says.
        ink: the style sheet's class of its colour.
        xs: where each group stands, in data units.
        groups: the values of each.
        spans: the low and the high end of each group; none where these are not known.
        banded: the spans are an area; otherwise each is a bar.
    """

    label: str
    ink: str
    xs: Sequence[float]
    groups: Sequence[Sequence[float]]
    spans: Sequence[Point] = ()
    banded: bool = True


@dataclass(frozen=True)
class Curve:
    """A series as it is drawn: ``points`` are its means; ``dots`` single values, where a group has several; ``band``
    is the outline of an area and ``bars`` are (x, low, high)."""

    label: str
    ink: str
    points: tuple[Point, ...]
    dots: tuple[Point, ...]
    band: tuple[Point, ...]
    bars: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A chart of :data:`WIDTH` units by ``height``.

    Attributes:
        title: what stands above it.
        alt: what it says in words.
        height: of the view box.
        xs: the labelled places of the x axis, each with its label.
        ys: those of the y axis.
        curves: all of its lines.
        labels: beside points, each as (x, y, text); those of the right edge end there.
        cells: (x, width) of the part of it that is nearest to each place along the x axis, as high as it is.
        level: where a dotted line stands, for comparison.
        ring: where another run stands, if it is shown.
        dashed: the ring is.
    """

    title: str
    alt: str
    height: int
    xs: tuple[tuple[float, str], ...]
    ys: tuple[tuple[float, str], ...]
    curves: tuple[Curve, ...]
    labels: tuple[tuple[float, float, str], ...] = ()
    cells: tuple[Point, ...] = ()
    level: float | None = None
    ring: Point | None = None
    dashed: bool = False

    @property
    def view(self) -> str:
        """The SVG's view box."""
        return f"0 0 {WIDTH} {self.height}"

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Where its axes end: left, right, top, bottom."""
        return LEFT, WIDTH - RIGHT, TOP, self.height - BOTTOM


@dataclass(frozen=True)
class Scale:
    """From data units between ``low`` and ``high`` to those of the view box between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; on a logarithmic scale one below its low end stands there."""
        low, high, at = (math.log(it) if self.log else it for it in (self.low, self.high, max(value, self._least)))
        return round(self.start + (self.end - self.start) * (at - low) / (high - low), 1)

    @property
    def _least(self) -> float:
        return self.low if self.log else -math.inf

    def ticks(self, count: int) -> list[float]:
        """About ``count`` round numbers within its ends: over more than a decade 1, 2 and 5 times powers of ten."""
        from matplotlib.ticker import MaxNLocator

        if not self.log or self.high < 10 * self.low:
            steps = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            return [float(it) for it in steps if self.low <= it <= self.high]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        digits = (1, 2, 5) if self.high < 40 * self.low else (1,)
        return [it for ten in decades for digit in digits if self.low <= (it := digit * 10.0**ten) <= self.high]


def scale(values: Sequence[float], start: float, end: float, log: bool = False, margin: float = 0.08) -> Scale:
    """A scale on which all ``values`` stand, with a ``margin`` to either side, a share of what they span.

    It is logarithmic where all of them allow it.
    """
    log = log and min(values) > 0
    low, high = (math.log(end) if log else end for end in (min(values), max(values)))
    room = margin * (high - low) or 0.1 * max(abs(high), 1)
    low, high = ((math.exp(it) if log else it) for it in (low - room, high + room))
    return Scale(low, high, start, end, log)


def along(values: Sequence[float]) -> Scale:
    """The x axis of the ``values`` of a parameter, in rising order: logarithmic if all are above zero."""
    return scale(values, LEFT, WIDTH - RIGHT, values[0] > 0, 0.03)


def y_axis(low: float, high: float, height: int) -> Scale:
    """A linear y axis with these ends."""
    return Scale(low, high, height - BOTTOM, TOP)


def spread_axis(series: Sequence[Series], height: int, log: bool = False, also: Sequence[float] = ()) -> Scale:
    """A y axis on which all that ``series`` hold stands, and ``also`` these values."""
    values = [value for it in series for group in it.groups for value in group]
    spans = [end for it in series for span in it.spans for end in span]
    return scale([*values, *spans, *also], height - BOTTOM, TOP, log)


def drawn(series: Series, x: Scale, y: Scale) -> Curve:
    """A series on two axes."""
    xs = [x(it) for it in series.xs]
    several = [(at, y(value)) for at, group in zip(xs, series.groups, strict=True) for value in group if len(group) > 1]
    ends = [(at, y(low), y(high)) for at, (low, high) in zip(xs, series.spans, strict=False)]
    outline = [(at, low) for at, low, _ in ends] + [(at, high) for at, _, high in reversed(ends)]
    return Curve(
        series.label,
        series.ink,
        tuple((at, y(mean(group))) for at, group in zip(xs, series.groups, strict=True)),
        tuple(several),
        tuple(outline) if series.banded else (),
        () if series.banded else tuple(ends),
    )


def cells(xs: Sequence[float]) -> tuple[Point, ...]:
    """The part of a chart that is nearest to each of ``xs``, places in its view box in any order: (x, width)."""
    order = sorted(range(len(xs)), key=lambda place: xs[place])
    edges = [0.0, *((xs[a] + xs[b]) / 2 for a, b in pairwise(order)), float(WIDTH)]
    spans = {place: (round(edges[at], 1), round(edges[at + 1] - edges[at], 1)) for at, place in enumerate(order)}
    return tuple(spans[place] for place in range(len(xs)))


def tick_labels(axis: Scale, count: int = 4) -> tuple[tuple[float, str], ...]:
    """Round numbers along an axis, each with its place."""
    return tuple((axis(it), tick(it)) for it in axis.ticks(count))


def value_labels(values: Sequence[float], axis: Scale) -> tuple[tuple[float, str], ...]:
    """The ``values`` in rising order along an axis, each with its place: the first, the last and as many between as
    have room."""
    texts = [tick(value, 3) for value in values]
    centred = [(axis(value) - LETTER * len(text) / 2, 0.0, text) for value, text in zip(values, texts, strict=True)]
    return tuple((axis(values[place]), texts[place]) for place in _apart(centred))


def point_labels(points: Sequence[Point], texts: Sequence[str]) -> tuple[tuple[float, float, str], ...]:
    """Labels above and to the right of points: the first, the last and as many between as have room."""
    beside = []
    for (x, y), text in zip(points, texts, strict=True):
        beside.append((min(x + 9, WIDTH - LETTER * len(text)), y - 9, text))
    return tuple(beside[place] for place in _apart(beside))


def _apart(labels: Sequence[tuple[float, float, str]]) -> list[int]:
    """Which labels, each from its left end on, stay if none may touch another."""
    kept: list[int] = []
    for place in dict.fromkeys((0, len(labels) - 1, *range(len(labels)))):
        x, y, text = labels[place]
        others = (labels[it] for it in kept)
        if all(
            abs(y - b) >= LINE or x + LETTER * (len(text) + 1) <= a or a + LETTER * (len(other) + 1) <= x
            for a, b, other in others
        ):
            kept.append(place)
    return sorted(kept)


def bars(values: Sequence[float], y: Scale) -> str:
    """The path of a bar for each of ``values``, side by side over the whole width of a chart."""
    step = (WIDTH - RIGHT - LEFT) / max(1, len(values))
    tops = ((LEFT + (place + 0.1) * step, y(value)) for place, value in enumerate(values))
    return "".join(f"M{at:.1f} {y.start:g}V{top:g}h{0.8 * step:.1f}V{y.start:g}z" for at, top in tops)
