"""Two experiments over seeds: how large each difference is, and whether it stands out from the spread."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from genbalance.errors import UserError
from genbalance.evaluation.comparison import CONFIDENCE, Difference, compare, holm
from genbalance.experiments import Run, differing, find_commits, read_run
from genbalance.files import write_json
from genbalance.reporting.headline import HEADLINE

LEVEL = 0.05  # of the family of all metrics shown
STANDS_OUT, WITHIN, NOT_JUDGED = "stands out", "within the spread", "cannot be judged (one seed)"


@dataclass(frozen=True)
class Group:
    """The runs of one setting over seeds, in the order of their seeds; ``text`` is what they were asked for by."""

    text: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each run, none twice."""
        return tuple(run.seed for run in self.runs)

    def values(self, metric: str) -> list[float]:
        """A value for each run; fewer where a run lacks the metric."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]


@dataclass(frozen=True)
class Line:
    """One metric: the values [runs] of both groups, their difference and Holm's adjusted p-value, if there is one."""

    a: list[float]
    b: list[float]
    difference: Difference
    p_holm: float | None

    @property
    def verdict(self) -> str:
        """In words, at the family's level."""
        if self.p_holm is None:
            return NOT_JUDGED
        return STANDS_OUT if self.p_holm <= LEVEL else WITHIN


@dataclass(frozen=True)
class Comparison:
    """Two groups compared.

    Attributes:
        a: the group that is compared with; ``b`` is the one that is compared.
        params: those that differ, by dotted key, with the value of each group.
        code: paths of the code that are not the same in all runs.
        paired: whether the groups have the same seeds, so that runs are compared seed by seed.
        lines: by metric.
        same: metrics with the same value in both runs of each pair, or in all runs: the change does not reach them.
            They are no question that the data answer by chance, and no part of Holm's family.
        left_out: metrics that not every run has as a finite number.
    """

    a: Group
    b: Group
    params: Mapping[str, tuple[Any, ...]]
    code: tuple[str, ...]
    paired: bool
    lines: Mapping[str, Line]
    same: tuple[str, ...]
    left_out: tuple[str, ...]


def compare_experiments(a: str, b: str, every: bool) -> Comparison:
    """The group of runs that ``b`` stands for, compared with that of ``a``: headline metrics, or ``every`` one.

    Raises:
        UserError: a group is none, for one of the reasons of :func:`find_group`.
    """
    return compare_groups(find_group(a), find_group(b), every)


def find_group(text: str) -> Group:
    """The runs that ``text`` stands for (:func:`genbalance.experiments.find_commits`).

    Raises:
        UserError: there are none, one cannot be read, a seed is there twice, or a param beside the seed differs.
    """
    runs = sorted((read_run(name, commit) for commit, name in find_commits(text).items()), key=lambda run: run.seed)
    for one, other in pairwise(runs):
        if one.seed == other.seed:
            raise UserError(f"{text}: {one.name} and {other.name} have the same seed, {one.seed}; allowed: each once")
    if keys := differing(*(run.params for run in runs)):
        told = ", ".join(f"{key} ({' and '.join(dict.fromkeys(map(str, row)))})" for key, row in keys.items())
        raise UserError(f"{text}: the runs of a group may differ in their seed alone; these differ in {told}")
    return Group(text, tuple(runs))


def compare_groups(a: Group, b: Group, every: bool) -> Comparison:
    """``b`` compared with ``a`` on the headline metrics, or on ``every`` one."""
    runs = (*a.runs, *b.runs)
    paired = a.seeds == b.seeds
    names = dict.fromkeys(n for run in runs for n in run.metrics) if every else map(".".join, HEADLINE.values())
    same, left_out, differences = [], [], {}
    for name in names:
        x, y = a.values(name), b.values(name)
        if len(x) + len(y) < len(runs):
            left_out.append(name)
        elif x == y if paired else len({*x, *y}) == 1:
            same.append(name)
        else:
            differences[name] = compare(np.array(x), np.array(y), paired)
    judged = {name: found.p for name, found in differences.items() if found.p is not None}
    adjusted = dict(zip(judged, holm(list(judged.values())), strict=True))
    lines = {n: Line(a.values(n), b.values(n), found, adjusted.get(n)) for n, found in differences.items()}
    params = differing(a.runs[0].params, b.runs[0].params)
    code = tuple(differing(*(run.code for run in runs)))
    return Comparison(a, b, params, code, paired, lines, tuple(same), tuple(left_out))


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of it in JSON's words: an infinite effect, as all that is not known, is null."""
    groups = {
        side: {
            "group": group.text,
            "runs": [{"name": run.name, "commit": run.commit, "seed": run.seed} for run in group.runs],
        }
        for side, group in (("a", comparison.a), ("b", comparison.b))
    }
    metrics: dict[str, Any] = {}
    for name, line in comparison.lines.items():
        numbers = {**asdict(line.difference), "p_holm": line.p_holm}
        finite = {key: None if value is None or math.isinf(value) else value for key, value in numbers.items()}
        metrics[name] = {"a": line.a, "b": line.b, **finite, "verdict": line.verdict}
    return groups | {
        "params": {key: {"a": values[0], "b": values[1]} for key, values in comparison.params.items()},
        "code": comparison.code,
        "paired": comparison.paired,
        "confidence": CONFIDENCE,
        "family_level": LEVEL,
        "metrics": metrics,
        "same": comparison.same,
        "left_out": comparison.left_out,
    }


def save(comparison: Comparison, path: Path) -> None:
    """Writes all of it as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_json(path, as_json(comparison))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
