"""Pareto fronts: runs by two of their metrics, and those that no other run beats in one without losing in the other."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from genbalance.families.registry import Family, known, of_param
from genbalance.params import INERT
from genbalance.reporting import chart
from genbalance.reporting.chart import Scale
from genbalance.reporting.text import experiment, listed, number, parameter
from genbalance.reporting.theme import Plot, Theme
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 300  # of the chart, in units of its view box
WIDE = 10  # times the least value is the largest: from here on an axis is logarithmic
LONGEST = 16  # letters of a name beside its point
SMALL = ("compute.device", "compute.threads", "compute.bits")  # all that these change of a number are its last digits


@dataclass(frozen=True)
class Metric:
    """A metric that is to be small or large, such as ``evaluate_vae.fd_test``, and which of the two."""

    name: str
    maximise: bool

    def __str__(self) -> str:
        return f"{self.name}:{'max' if self.maximise else 'min'}"

    @property
    def better(self) -> str:
        """Which direction is better, in words."""
        return f"{'higher' if self.maximise else 'lower'} is better"


def pareto(values: Sequence[Sequence[float]], maximise: Sequence[bool]) -> list[bool]:
    """For each row of metrics, whether it is on the Pareto front: no other row is at least as good in all columns and
    better in one.

    Args:
        values: [n][metrics].
        maximise: for each column whether higher is better.
    """
    costs = [tuple(-value if up else value for value, up in zip(row, maximise, strict=True)) for row in values]

    def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    return [not any(dominates(other, row) for other in costs) for row in costs]


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        name: of its experiment.
        settings: the params in which the runs differ, by dotted key, the seed among them.
        values: of both metrics.
    """

    name: str
    settings: Mapping[str, Any]
    values: tuple[float, float]


@dataclass(frozen=True)
class Front:
    """Runs by two metrics.

    Attributes:
        name: of the file that keeps it, or of what was shown.
        metrics: that of the x axis, that of the y axis.
        labels: what the metrics are called.
        shared: the params that all runs have alike, by dotted key.
        points: in any order.
    """

    name: str
    metrics: tuple[Metric, Metric]
    labels: tuple[str, str]
    shared: Mapping[str, Any]
    points: tuple[Point, ...]
    best: tuple[bool, ...] = field(init=False)
    """For each point whether it is on the front."""

    def __post_init__(self) -> None:
        on = pareto([point.values for point in self.points], [metric.maximise for metric in self.metrics])
        object.__setattr__(self, "best", tuple(on))

    @property
    def sides(self) -> tuple[list[Point], list[Point]]:
        """The points on the front and the others, each in the order of their first metric."""
        parts: tuple[list[Point], list[Point]] = ([], [])
        for point, on in zip(self.points, self.best, strict=True):
            parts[not on].append(point)
        for part in parts:
            part.sort(key=lambda point: (point.values, point.name))
        return parts

    @property
    def families(self) -> tuple[Family, ...]:
        """Those whose stages measured the metrics; all of them where the metrics name no family's stage."""
        words = " ".join(metric.name.replace(".", " ") for metric in self.metrics).split()
        stages = {name: {f"{step}_{name}" for step in ("train", "evaluate")} for name in known()}
        named = tuple(known()[name] for name, own in stages.items() if own & set(words))
        return named or tuple(known().values())

    def otherwise(self, params: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """The params that all points share and that are not as in ``params``, those of a run by dotted key: the value
        there and here. Without those that have no part in the metrics."""
        found = {}
        for key, value in self.shared.items():
            owners = of_param(key)
            foreign = owners and not set(owners) & set(self.families)
            if key in params and not foreign and key not in SMALL and not key.startswith(INERT):
                there, here = (Path(str(it)).name if key == "data.path" else it for it in (value, params[key]))
                if there != here and str(there) != str(here):
                    found[key] = parameter(there), parameter(here)
        return found

    def command(self, point: Point, params: Mapping[str, Any]) -> str:
        """The shell command that makes the run of a point, where params.yaml holds ``params``."""
        others = {key: there for key, (there, _) in self.otherwise(params).items()}
        return experiment({key: parameter(value) for key, value in point.settings.items()} | others)

    def as_json(self) -> dict[str, Any]:
        """What :func:`read_front` reads."""
        return {
            "front": [str(metric) for metric in self.metrics],
            "labels": list(self.labels),
            "params": dict(self.shared),
            "points": [
                {"name": point.name, "settings": dict(point.settings), "values": list(point.values)}
                for point in self.points
            ],
        }

    @classmethod
    def of_json(cls, name: str, content: Mapping[str, Any]) -> Self:
        """What :meth:`as_json` made.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        (x, y), (of_x, of_y) = content["front"], content["labels"]
        points = tuple(
            Point(str(point["name"]), dict(point["settings"]), _two(point["values"])) for point in content["points"]
        )
        if not points:
            raise ValueError("no points")
        return cls(name, (_metric(x), _metric(y)), (str(of_x), str(of_y)), dict(content["params"]), points)

    @property
    def title(self) -> str:
        """What the figure is called."""
        x, y = self.labels
        family, _, alone = x.partition(": ")  # is written once where both have it
        return f"{y} over {alone if alone and y.startswith(f'{family}: ') else x}"

    @property
    def alt(self) -> str:
        """The figure in a sentence."""
        best, _ = self.sides
        ends = " to ".join(
            f"{point.name} at ({number(point.values[0], 3)}, {number(point.values[1], 3)})"
            for point in (best[0], best[-1])[: len(best)]
        )
        return f"{self.title}. On the Pareto front: {len(best)} of {len(self.points)} runs, {ends}."

    @property
    def caption(self) -> str:
        """How the figure is to be read."""
        ways = listed(f"{label} ({metric.better})" for metric, label in zip(self.metrics, self.labels, strict=True))
        return (
            f"A point for each run: {ways}. The line joins the Pareto front: the runs than which no other is at least "
            "as good in both metrics and better in one."
        )

    @property
    def ink(self) -> str:
        """The style sheet's class of the front's colour: the family's, or where there are several another one."""
        return self.families[0].name if len(self.families) == 1 else "extra"

    def figure(self) -> Plot:
        """For READMEs and papers."""
        best, others = self.sides

        def draw(figure: "Figure", theme: Theme) -> None:
            from matplotlib.ticker import NullFormatter, StrMethodFormatter
            from matplotlib.transforms import Bbox

            panel = figure.subplots()
            ink = theme.of(self.families[0]) if len(self.families) == 1 else theme.extra
            panel.plot(*_columns(others), "o", color=theme.muted, ms=4, alpha=0.7)
            panel.plot(*_columns(best), "o-", color=ink, ms=5.5)
            for name, axis, values in zip("xy", (panel.xaxis, panel.yaxis), _columns(self.points), strict=True):
                if _is_wide(values):
                    panel.set(**{f"{name}scale": "log"})
                    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                    axis.set_minor_formatter(NullFormatter())
            panel.set(xlabel=self.labels[0], ylabel=self.labels[1])
            panel.margins(0.12, 0.1)
            panel.autoscale_view()  # so that the points have their places
            written: list[Bbox] = []
            for point in best:
                text = panel.annotate(_short(point.name).replace("$", r"\$"), point.values, (5, 4),
                                      textcoords="offset points", color=theme.muted, fontsize=8.5)  # fmt: skip
                place = text.get_window_extent()
                if any(place.overlaps(other) for other in written):
                    text.remove()  # the table has it
                else:
                    written.append(place)

        return Plot(f"{self.name.replace('.', '_')}_front", self.title, self.alt, self.caption, draw, (6, 4.4))


def _two(values: Sequence[Any]) -> tuple[float, float]:
    x, y = values
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TypeError(value)
    return float(x), float(y)


def _metric(text: str) -> Metric:
    name, _, direction = text.rpartition(":")
    return Metric(name, {"min": False, "max": True}[direction])


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.values[0] for point in points], [point.values[1] for point in points]


def _is_wide(values: Sequence[float]) -> bool:
    return 0 < WIDE * min(values) <= max(values)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def read_front(path: Path) -> Front | None:
    """The front that :meth:`Front.as_json` made, out of a file of metrics/sweeps; None where the file holds no front.

    Raises:
        UserError: it holds one that is not what it should be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError):  # a sweep may be more readable
        return None
    if not isinstance(content, dict) or "front" not in content:
        return None
    try:
        return Front.of_json(path.stem, content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: is no Pareto front; write it again with "
            f"`genbalance sweep show EXPERIMENTS --metric A --metric B --json {path}`"
        ) from None


@dataclass(frozen=True)
class Row:
    """A run on the page: its name, both values as texts, the command that makes it, and where its point stands."""

    name: str
    numbers: tuple[str, str]
    command: str
    at: tuple[float, float]

    @property
    def words(self) -> str:
        """All of it in a line."""
        return f"{self.name}: {', '.join(self.numbers)}; {self.command}"


@dataclass(frozen=True)
class Drawn:
    """A front as the page draws it, beside a run.

    Attributes:
        front: what is drawn.
        best: the runs on the front, in the order of the first metric.
        others: the other runs, in that order.
        xs: the labelled places of the x axis, each with its label.
        ys: those of the y axis.
        labels: names beside points, each as (x, y, text).
        note: what the runs of the front have otherwise than the run that the page shows.
    """

    front: Front
    best: tuple[Row, ...]
    others: tuple[Row, ...]
    xs: tuple[tuple[float, str], ...]
    ys: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, float, str], ...]
    note: str

    view = f"0 0 {chart.WIDTH} {HEIGHT}"
    frame = (chart.LEFT, chart.WIDTH - chart.RIGHT, chart.TOP, HEIGHT - chart.BOTTOM)


def drawn(front: Front, params: Mapping[str, Any]) -> Drawn:
    """The front beside the run that has these ``params``, all by dotted key."""
    left, right, top, bottom = Drawn.frame
    x, y = (
        chart.scale(values, *ends, log=_is_wide(values))
        for values, ends in zip(_columns(front.points), ((left, right), (bottom, top)), strict=True)
    )
    best, others = (tuple(_row(front, point, params, x, y) for point in part) for part in front.sides)
    otherwise = [f"{key} = {there} (this run: {here})" for key, (there, here) in front.otherwise(params).items()]
    return Drawn(
        front,
        best,
        others,
        chart.tick_labels(x, 6),
        chart.tick_labels(y, 5),
        chart.point_labels([row.at for row in best], [_short(row.name) for row in best]),
        f"The runs of metrics/sweeps/{front.name}.json may have had other code than this one; "
        f"{listed(otherwise) if otherwise else 'the parameters that they share are as in this run'}.",
    )


def _row(front: Front, point: Point, params: Mapping[str, Any], x: Scale, y: Scale) -> Row:
    numbers = number(point.values[0], 4), number(point.values[1], 4)
    return Row(point.name, numbers, front.command(point, params), (x(point.values[0]), y(point.values[1])))
