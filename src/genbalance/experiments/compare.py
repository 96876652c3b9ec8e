"""Runs put into groups, each one setting over seeds; each group compared with the first, metric by metric: how large
the difference is, and whether it stands out from the variation over seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from genbalance.experiments.runs import ABSENT, Run, differing, find_runs, read_settings
from genbalance.experiments.statistics import CONFIDENCE, Difference, compare, holm
from genbalance.families.registry import known
from genbalance.reporting.headline import headline_places
from genbalance.reporting.spread import NOT_JUDGED, SAME, STANDS_OUT, WITHIN
from genbalance.reporting.text import parameter
from genbalance.runtime.errors import UserError

LEVEL = 0.05  # of the family of all verdicts


@dataclass(frozen=True)
class Group:
    """The runs of one setting over seeds, in the order of their seeds.

    Attributes:
        name: the pattern or revision that they were found by, or what sets them apart, such as ``beta=0.5``.
        runs: at least one.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def params(self) -> Mapping[str, Any]:
        """Of each of the runs."""
        return self.runs[0].params

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each run, none twice."""
        return tuple(run.seed for run in self.runs)

    def values(self, metric: str) -> list[float]:
        """A value for each run; fewer where a run lacks the metric."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]


def find_groups(texts: Sequence[str]) -> tuple[Group, ...]:
    """A group for each of several texts (see :func:`genbalance.experiments.runs.find_commits`), or the settings of a
    single one.

    Raises:
        UserError: a text stands for no group or stands twice, or a single one holds no two settings.
    """
    if len(texts) == 1:
        return split(texts[0], find_runs(texts[0]))
    if twice := [text for text in texts if texts.count(text) > 1]:
        raise UserError(f"{twice[0]}: is there twice; allowed: each group once")
    return tuple(find_group(text) for text in texts)


def split(text: str, runs: Iterable[Run]) -> tuple[Group, ...]:
    """The settings among ``runs``, each a group named by the params that differ, in the order of their values; that
    of the commit checked out comes first.

    Raises:
        UserError: there is one setting only, or a seed is twice in one.
    """
    settings: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: run.seed):
        same = next((group for group in settings if group[0].params == run.params), None)
        same.append(run) if same else settings.append([run])
    varying = list(differing(*(group[0].params for group in settings)))
    if not varying:
        raise UserError(f"{text}: holds runs of one setting; allowed: runs of several settings, or a second group")
    settings.sort(key=lambda group: [_order(group[0].params.get(key, ABSENT)) for key in varying])
    here = _checked_out()
    settings.sort(key=lambda group: group[0].params != here)
    names = [", ".join(f"{key}={parameter(g[0].params.get(key, ABSENT))}" for key in varying) for g in settings]
    for name, group in zip(names, settings, strict=True):
        _refuse_twins(f"{text}: {name}", group)
    return tuple(Group(name, tuple(group)) for name, group in zip(names, settings, strict=True))


def find_group(text: str) -> Group:
    """The runs that ``text`` stands for, as one group.

    Raises:
        UserError: one cannot be read, they differ in more than the seed, or a seed is there twice.
    """
    runs = sorted(find_runs(text), key=lambda run: run.seed)
    _refuse_twins(text, runs)
    if keys := differing(*(run.params for run in runs)):
        found = ", ".join(f"{key} ({' and '.join(dict.fromkeys(map(str, row)))})" for key, row in keys.items())
        raise UserError(f"{text}: the runs of a group may differ in their seed alone; these differ in {found}")
    return Group(text, tuple(runs))


def _refuse_twins(text: str, runs: Sequence[Run]) -> None:
    for one, other in pairwise(runs):
        if one.seed == other.seed:
            raise UserError(f"{text}: {one.name} and {other.name} have the same seed, {one.seed}; allowed: each once")


def _checked_out() -> Mapping[str, Any] | None:
    try:
        return read_settings("HEAD", "HEAD")[1]
    except UserError:  # no commit yet, or one from before there were params
        return None


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before words."""
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, str(value)


@dataclass(frozen=True)
class Line:
    """One metric of one group, compared with the first group's.

    Attributes:
        difference: of the group to the first.
        p_holm: Holm's adjusted p-value; None where there is no verdict.
        same: whether both runs of each pair, or all runs, have the same value: the change does not reach the metric.
            No chance is at work there, so it is no part of Holm's family.
    """

    difference: Difference
    p_holm: float | None
    same: bool

    @property
    def verdict(self) -> str:
        """In words, at the level of Holm's family."""
        if self.same:
            return SAME
        if self.p_holm is None:
            return NOT_JUDGED
        return STANDS_OUT if self.p_holm <= LEVEL else WITHIN


@dataclass(frozen=True)
class Contrast:
    """One group, compared with the first.

    Attributes:
        group: the one that is compared.
        paired: whether both have the same seeds, so that runs are compared seed by seed.
        lines: by metric; the metrics of all contrasts are the same.
    """

    group: Group
    paired: bool
    lines: Mapping[str, Line]


@dataclass(frozen=True)
class Comparison:
    """Groups compared with the first of them.

    Attributes:
        first: the group that is compared with.
        contrasts: one for each other group.
        params: those that differ, by dotted key, with the value of each group, the first group's first.
        code: paths of the code that are not the same in all runs.
        machines: the kinds of machine of each group, where they are not the same in all runs; else empty.
        same: metrics that the change reaches in no group.
        left_out: metrics that not every run has as a finite number.
    """

    first: Group
    contrasts: tuple[Contrast, ...]
    params: Mapping[str, tuple[Any, ...]]
    code: tuple[str, ...]
    machines: Mapping[str, tuple[str, ...]]
    same: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """All of them, the first one first."""
        return (self.first, *(contrast.group for contrast in self.contrasts))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that are compared, in order."""
        return tuple(self.contrasts[0].lines)

    @property
    def judged(self) -> int:
        """How many verdicts Holm's family has: metrics × groups, without what is the same and what has one seed."""
        return sum(line.p_holm is not None for contrast in self.contrasts for line in contrast.lines.values())


def compare_groups(groups: Sequence[Group], every: bool) -> Comparison:
    """Each group compared with the first of the two or more, on the headline metrics or on ``every`` one.

    Holm's family is the whole comparison: every metric of every group that is compared with the first.
    """
    first, *others = groups
    runs = [run for group in groups for run in group.runs]
    names = dict.fromkeys(name for run in runs for name in run.metrics) if every else headline(runs)
    same, left_out, shown = [], [], []
    for name in names:
        if not all(name in run.metrics for run in runs):
            left_out.append(name)
        elif all(_is_same(first, other, name) for other in others):
            same.append(name)
        else:
            shown.append(name)
    found = {(other.name, name): _difference(first, other, name) for other in others for name in shown}
    equal = {(other.name, name) for other in others for name in shown if _is_same(first, other, name)}
    judged = {pair: d.p for pair, d in found.items() if d.p is not None and pair not in equal}
    adjusted = dict(zip(judged, holm(list(judged.values())), strict=True))
    lines = {pair: Line(difference, adjusted.get(pair), pair in equal) for pair, difference in found.items()}
    contrasts = tuple(
        Contrast(other, first.seeds == other.seeds, {name: lines[other.name, name] for name in shown})
        for other in others
    )
    params = differing(*(group.params for group in groups))
    code = tuple(differing(*(run.code for run in runs)))
    machines = {group.name: tuple(dict.fromkeys(run.machine for run in group.runs)) for group in groups}
    if len({machine for found in machines.values() for machine in found}) == 1:
        machines = {}
    return Comparison(first, contrasts, params, code, machines, tuple(same), tuple(left_out))


def headline(runs: Iterable[Run]) -> list[str]:
    """The headline metrics by dotted name, without those of model families that none of the runs has."""
    names = {name for run in runs for name in run.families}
    families = (family for family in known().values() if family.name in names)
    return [f"{stage}.{key}" for stage, key in headline_places(families).values()]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of it for a JSON file; an infinite effect is null, as is all that is not known."""
    groups = {
        group.name: {
            "runs": [{"name": run.name, "commit": run.commit, "seed": run.seed} for run in group.runs],
            "params": {key: values[place] for key, values in comparison.params.items()},
        }
        for place, group in enumerate(comparison.groups)
    }
    metrics = {
        name: {
            "values": {group.name: group.values(name) for group in comparison.groups},
            "differences": {contrast.group.name: _as_json(contrast.lines[name]) for contrast in comparison.contrasts},
        }
        for name in comparison.metrics
    }
    return {
        "compared_with": comparison.first.name,
        "groups": groups,
        "code": comparison.code,
        "machines": comparison.machines,
        "paired": {contrast.group.name: contrast.paired for contrast in comparison.contrasts},
        "confidence": CONFIDENCE,
        "family": comparison.judged,
        "family_level": LEVEL,
        "metrics": metrics,
        "same": comparison.same,
        "left_out": comparison.left_out,
    }


def _is_same(first: Group, other: Group, metric: str) -> bool:
    x, y = first.values(metric), other.values(metric)
    return x == y if first.seeds == other.seeds else len({*x, *y}) == 1


def _difference(first: Group, other: Group, metric: str) -> Difference:
    return compare(np.array(first.values(metric)), np.array(other.values(metric)), first.seeds == other.seeds)


def _as_json(line: Line) -> dict[str, Any]:
    numbers = {**asdict(line.difference), "p_holm": line.p_holm}
    finite = {key: None if value is None or math.isinf(value) else value for key, value in numbers.items()}
    return {**finite, "verdict": line.verdict}
