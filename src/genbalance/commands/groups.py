"""Runs put into groups: each is one setting over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from genbalance.errors import UserError
from genbalance.experiments import ABSENT, Run, differing, find_commits, read_run, read_settings
from genbalance.reporting.text import parameter


@dataclass(frozen=True)
class Group:
    """The runs of one setting over seeds, in the order of their seeds.

    Attributes:
        name: what they were asked for by, or what sets their setting apart, such as ``beta=0.5``.
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
    """A group for each of several texts (:func:`genbalance.experiments.find_commits`); of a single one its settings.

    Raises:
        UserError: a text stands for no group or stands twice, or a single one holds no two settings.
    """
    if len(texts) == 1:
        return split(texts[0], _runs(texts[0]))
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
    runs = sorted(_runs(text), key=lambda run: run.seed)
    _refuse_twins(text, runs)
    if keys := differing(*(run.params for run in runs)):
        told = ", ".join(f"{key} ({' and '.join(dict.fromkeys(map(str, row)))})" for key, row in keys.items())
        raise UserError(f"{text}: the runs of a group may differ in their seed alone; these differ in {told}")
    return Group(text, tuple(runs))


def _runs(text: str) -> list[Run]:
    return [read_run(name, commit) for commit, name in find_commits(text).items()]


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
