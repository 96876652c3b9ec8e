"""Runs by two of their metrics, and their Pareto front: as a table, a figure, and a file that the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from genbalance.experiments.dvc_lock import is_off, lock_of
from genbalance.experiments.runs import ABSENT, Run, differing, find_runs
from genbalance.params import read_params
from genbalance.reporting.front import Front, Metric, Point
from genbalance.reporting.measures import HIGHER, LOWER, labels
from genbalance.reporting.text import aligned, parameter
from genbalance.reporting.theme import LIGHT, png
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file, write_json
from genbalance.tracking.lineage import runs_behind
from genbalance.tracking.store import reach

BETTER = {"min": LOWER, "max": HIGHER}
MINUTES = "minutes."
"""What the metrics begin with that are the time of a stage, such as ``minutes.train_vae``."""


def parse_metric(text: str) -> Metric:
    """``evaluate_vae.fd_test``, in the direction in which the metric is better, or ``evaluate_vae.rate:min``, ``:max``.

    Raises:
        UserError: neither the text nor the table of metrics says which direction is better.
    """
    name, _, direction = text.partition(":")
    if name.startswith(MINUTES) and not direction:
        return Metric(name, maximise=False)
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
    runs = with_minutes(find_runs(text), [x.name, y.name])
    for metric in (x, y):
        if lacks := [run.name for run in runs if metric.name not in run.metrics]:
            raise UserError(
                f"{text}: {metric.name}: not measured with its own params by {lacks[0]}"
                + (f" and {len(lacks) - 1} others" if len(lacks) > 1 else "")
            )
    return front_of(runs, (x, y), text)


def with_minutes(runs: Sequence[Run], metrics: Sequence[str]) -> list[Run]:
    """The runs with those of the ``metrics`` that are minutes, such as ``minutes.train_vae``: those that the newest
    MLflow run of the stage took which made these results. A run whose stage no MLflow run here has made lacks them.

    Raises:
        UserError: the MLflow store cannot be used, or a run has no dvc.lock.
    """
    stages = [name.removeprefix(MINUTES) for name in metrics if name.startswith(MINUTES)]
    if not stages:
        return list(runs)
    store = reach(read_params().tracking.experiment, change=False)
    found = []
    for run in runs:
        lock = {stage.replace("@", "_"): entry for stage, entry in lock_of(run.commit, run.name).items()}
        times = {}
        for stage in stages:
            made = runs_behind(store, lock[stage]) if stage in lock and not is_off(lock[stage]) else []
            seconds = [each.seconds for each in made if each.seconds and each.same_inputs and not each.restored]
            if seconds:
                times[MINUTES + stage] = seconds[0] / 60
        found.append(replace(run, metrics={**run.metrics, **times}))
    return found


def front_of(runs: Sequence[Run], metrics: tuple[Metric, Metric], name: str) -> Front:
    """The runs by two metrics that all of them have."""
    settings = [dict(run.params) | {"seed": run.seed} for run in runs]
    varying = differing(*settings)
    called = labels()
    x, y = metrics
    return Front(
        name=name,
        metrics=metrics,
        labels=(_label(x, called), _label(y, called)),
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


def _label(metric: Metric, called: Mapping[str, tuple[str, str]]) -> str:
    if metric.name.startswith(MINUTES):
        return f"minutes of {metric.name.removeprefix(MINUTES)}"
    return called[metric.name][0] if metric.name in called else metric.name


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
