"""Runs by two of their metrics, and their Pareto front: as a table, a figure, and a file that the report shows."""

from collections.abc import Sequence
from pathlib import Path

from genbalance.experiments.runs import ABSENT, Run, differing, find_runs
from genbalance.reporting.front import Front, Metric, Point
from genbalance.reporting.measures import HIGHER, LOWER, labels
from genbalance.reporting.text import aligned, parameter
from genbalance.reporting.theme import LIGHT, png
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file, write_json

BETTER = {"min": LOWER, "max": HIGHER}


def parse_metric(text: str) -> Metric:
    """``evaluate_vae.fd_test``, in the direction in which the metric is better, or ``evaluate_vae.rate:min``, ``:max``.

    Raises:
        UserError: neither the text nor the table of metrics says which direction is better.
    """
    name, _, direction = text.partition(":")
    better = {key.partition(".")[2]: better for key, (_, better) in labels().items()}
    found = BETTER.get(direction) if direction else better.get(name.partition(".")[2], "")
    if found not in BETTER.values():
        raise UserError(f"--metric {text}: which direction is better? allowed: {name}:min or {name}:max")
    return Metric(name, found == HIGHER)


def find_front(text: str, metrics: Sequence[str]) -> Front:
    """The runs that ``text`` stands for (see :func:`genbalance.experiments.runs.find_commits`) by two metrics, each as
    :func:`parse_metric` takes it.

    Raises:
        UserError: there are not two metrics, a direction is not known, or a run cannot be read or lacks one of them.
    """
    if len(set(metrics)) != 2 or len(metrics) != 2:
        raise UserError(f"--metric: found {', '.join(metrics)}; allowed: two metrics")
    x, y = map(parse_metric, metrics)
    runs = find_runs(text)
    for metric in (x, y):
        if lacks := [run.name for run in runs if metric.name not in run.metrics]:
            raise UserError(
                f"{text}: {metric.name}: not measured with its own params by {lacks[0]}"
                + (f" and {len(lacks) - 1} others" if len(lacks) > 1 else "")
            )
    return front_of(runs, (x, y), text)


def front_of(runs: Sequence[Run], metrics: tuple[Metric, Metric], name: str) -> Front:
    """The runs by two metrics that all of them have."""
    settings = [dict(run.params) | {"seed": run.seed} for run in runs]
    varying = differing(*settings)
    called = labels()
    x, y = metrics
    return Front(
        name=name,
        metrics=metrics,
        labels=(called.get(x.name, (x.name, ""))[0], called.get(y.name, (y.name, ""))[0]),
        shared={key: value for key, value in settings[0].items() if key not in varying},
        points=tuple(
            Point(
                run.name,
                {key: own[key] for key in varying if own.get(key, ABSENT) != ABSENT},
                (run.metrics[x.name], run.metrics[y.name]),
            )
            for run, own in zip(runs, settings, strict=True)
        ),
    )


def as_text(front: Front) -> str:
    """A line for each run, the Pareto front first, with a star."""
    best, others = front.sides
    keys = list(dict.fromkeys(key for point in front.points for key in point.settings))
    rows = [["run", *keys, *(metric.name for metric in front.metrics)]]
    for point in [*best, *others]:
        cells = (parameter(point.settings[key]) if key in point.settings else "–" for key in keys)
        star = " *" if point in best else ""
        rows.append([f"{point.name}{star}", *cells, *(f"{value:.4g}" for value in point.values)])
    directions = ", ".join(f"{metric.name} ({metric.better})" for metric in front.metrics)
    return f"{aligned(rows)}\n\n* The Pareto front of {directions}"


def save(front: Front, picture: Path | None, json: Path | None) -> list[Path]:
    """Draws the figure and writes the file that the report reads in metrics/sweeps, each where wanted.

    Returns:
        The files.

    Raises:
        UserError: one cannot be written.
    """
    try:
        if picture:
            with whole_file(picture) as part:
                part.write_bytes(png(front.figure(), LIGHT))
        if json:
            write_json(json, front.as_json())
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return [path for path in (picture, json) if path]
