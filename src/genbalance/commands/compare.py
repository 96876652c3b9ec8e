"""Groups of runs over seeds: how large each difference is, and whether it stands out from the spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genbalance.commands.groups import Group
from genbalance.evaluation.comparison import CONFIDENCE, Difference, compare, holm
from genbalance.experiments import differing
from genbalance.reporting.headline import HEADLINE
from genbalance.reporting.spread import NOT_JUDGED, SAME, STANDS_OUT, WITHIN

LEVEL = 0.05  # of the family of all judgements


@dataclass(frozen=True)
class Line:
    """One metric of one group, held against the first group's.

    Attributes:
        difference: of the group to the first.
        p_holm: Holm's adjusted p-value; None where nothing is judged.
        same: whether both runs of each pair, or all runs, have the same value: the change does not reach the metric.
            That is no question which the data answer by chance, and no part of Holm's family.
    """

    difference: Difference
    p_holm: float | None
    same: bool

    @property
    def verdict(self) -> str:
        """In words, at the family's level."""
        if self.same:
            return SAME
        if self.p_holm is None:
            return NOT_JUDGED
        return STANDS_OUT if self.p_holm <= LEVEL else WITHIN


@dataclass(frozen=True)
class Contrast:
    """One group, held against the first.

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
        """How many judgements Holm's family has: metrics × groups, without what is the same and what has one seed."""
        return sum(line.p_holm is not None for contrast in self.contrasts for line in contrast.lines.values())


def compare_groups(groups: Sequence[Group], every: bool) -> Comparison:
    """Each group compared with the first of the two or more, on the headline metrics or on ``every`` one.

    Holm's family is the whole comparison: every metric of every group that is held against the first.
    """
    first, *others = groups
    runs = [run for group in groups for run in group.runs]
    names = dict.fromkeys(n for run in runs for n in run.metrics) if every else map(".".join, HEADLINE.values())
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


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of it in JSON's words: an infinite effect, as all that is not known, is null."""
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
            "differences": {contrast.group.name: _told(contrast.lines[name]) for contrast in comparison.contrasts},
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


def _told(line: Line) -> dict[str, Any]:
    numbers = {**asdict(line.difference), "p_holm": line.p_holm}
    finite = {key: None if value is None or math.isinf(value) else value for key, value in numbers.items()}
    return {**finite, "verdict": line.verdict}
