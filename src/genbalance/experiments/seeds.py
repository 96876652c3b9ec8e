"""The variation over seeds: the metrics of one setting's runs, mean, standard deviation and range."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from genbalance.experiments.compare import Group, find_group, headline
from genbalance.experiments.compare_table import LEFT_OUT, by_file, seeds_and_runs
from genbalance.experiments.runs import differing
from genbalance.families.registry import known
from genbalance.reporting.spread import decimals, fixed
from genbalance.reporting.text import aligned
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import write_json


@dataclass(frozen=True)
class Spread:
    """One setting over its seeds.

    Attributes:
        group: its runs, two or more.
        metrics: by dotted name, for each metric that differs the value of each run.
        same: metrics that are the same in all runs, with their value.
        left_out: metrics that not every run has.
        code: paths of the code that are not the same in all runs.
    """

    group: Group
    metrics: Mapping[str, tuple[float, ...]]
    same: Mapping[str, float]
    left_out: tuple[str, ...]
    code: tuple[str, ...]


def find_spread(text: str, every: bool) -> Spread:
    """The runs that ``text`` stands for (see :func:`genbalance.experiments.runs.find_commits`): their headline metrics,
    those of real images and the shares of the classes, or ``every`` metric.

    Raises:
        UserError: one cannot be read, they differ in more than the seed, a seed is there twice, or there is one only.
    """
    group = find_group(text)
    if len(group.runs) == 1:
        raise UserError(f"{text}: holds one run; allowed: two seeds or more")
    names = dict.fromkeys(name for run in group.runs for name in run.metrics)
    found = {name: tuple(group.values(name)) for name in (names if every else _shown(group, names))}
    whole = {name: values for name, values in found.items() if len(values) == len(group.runs)}
    return Spread(
        group=group,
        metrics={name: values for name, values in whole.items() if len(set(values)) > 1},
        same={name: values[0] for name, values in whole.items() if len(set(values)) == 1},
        left_out=tuple(name for name in found if name not in whole),
        code=tuple(differing(*(run.code for run in group.runs))),
    )


def _shown(group: Group, names: Mapping[str, None]) -> list[str]:
    """The headline, whether a class has all but vanished or taken over, and what real images score."""
    own = headline(group.runs)
    families = {name for run in group.runs for name in run.families}
    classes = [f"evaluate_{name}.class_share_{end}" for name in known() if name in families for end in ("min", "max")]
    real = [name for metric in own if (name := f"{metric}_real") in names]
    return list(dict.fromkeys([*own, *classes, *real]))


def as_text(spread: Spread) -> str:
    """A line for each metric that differs: mean ± standard deviation (n − 1), least and largest; then what does not
    differ, and what is not in every run."""
    rows = [["metric", "mean ± sd", "least", "largest"]]
    for name, values in spread.metrics.items():
        digits = decimals(stdev(values))
        centre = f"{fixed(mean(values), digits)} ± {fixed(stdev(values), digits)}"
        rows.append([name, centre, fixed(min(values), digits), fixed(max(values), digits)])
    parts = [seeds_and_runs(spread.group)]
    if spread.code:
        parts.append(
            f"The code differs between runs ({', '.join(spread.code)}): part of the variation may come from the code."
        )
    if len(machines := {run.machine for run in spread.group.runs}) > 1:
        parts.append(
            f"The kinds of machine differ ({' and '.join(sorted(machines))}): part of the variation may come from them."
        )
    if spread.metrics:
        parts.append(aligned(rows))
    if spread.same:
        same = [f"{name} {value:.6g}" for name, value in spread.same.items()]
        parts.append("\n".join(["The same in all runs:", *by_file(same)]))
    if spread.left_out:
        parts.append("\n".join([LEFT_OUT, *by_file(spread.left_out)]))
    return "\n\n".join(parts)


def save(spread: Spread, path: Path) -> None:
    """Writes the values as JSON, in the order of the runs.

    Raises:
        UserError: the file cannot be written.
    """
    runs = [{"name": run.name, "commit": run.commit, "seed": run.seed} for run in spread.group.runs]
    metrics = {
        name: {
            "values": values,
            "mean": mean(values),
            "sd": stdev(values),
            "least": min(values),
            "largest": max(values),
        }
        for name, values in spread.metrics.items()
    }
    rest: dict[str, Any] = {"same": dict(spread.same), "left_out": spread.left_out, "code": spread.code}
    try:
        write_json(path, {"runs": runs, "params": dict(spread.group.params), "metrics": metrics} | rest)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
