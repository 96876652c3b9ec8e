"""A comparison as a pandas table and as plain text: the sentences above and below the numbers, which the page shows
too, and the columns in the terminal."""

from collections.abc import Iterator, Sequence
from itertools import islice

import pandas as pd

from genbalance.experiments.compare import LEVEL, Comparison, Contrast, Group
from genbalance.reporting.spread import NOT_JUDGED, SAME, STANDS_OUT, WITHIN, Cell, cells
from genbalance.reporting.text import letters, parameter

NUMBERS = ("difference", "low", "high", "p", "p_holm", "effect")
LEFT_OUT = "Left out, since some run measured them with other params or has no finite value, or its family was off:"
MACHINES = (
    "The runs come from different kinds of machine, so a difference may come from the machine and not from the params. "
    "`make baseline` commits this machine's own results to compare with."
)
FEATURES = ("data.", "classifier.")  # params of the digits and of the network that gives the features
MEASUREMENT = (*FEATURES, "evaluate.")  # params of what measures the samples
WIDTH = 120
MARKS = {STANDS_OUT: "*", WITHIN: "no mark", SAME: "=", NOT_JUDGED: "?"}
LONGEST = 24  # characters of a param's value
SHORTEST = 16  # to which a group's name is cut, where the numbers below it are not longer
OF_A_PAIR = ("b − a", "95% interval", "g", "verdict")  # columns beside the two groups
KEPT = (range(7), (0, 1, 2, 3, 4, 6), (0, 1, 2, 3, 6))  # columns of a pair: all, without g, without the interval


def table(comparison: Comparison) -> pd.DataFrame:
    """A row for each metric and group, indexed by both.

    Columns: ``params.<key>`` for each param that differs; ``n`` seeds, their ``mean`` and ``sd`` (n − 1; NaN for one);
    and, NaN for the group that is compared with: the ``difference`` from it with its 95% interval ``low`` … ``high``,
    ``p``, Holm's ``p_holm``, the ``effect`` (Hedges' g) and the ``verdict`` in words.
    """
    rows = []
    for metric in comparison.metrics:
        of_first = comparison.contrasts[0].lines[metric].difference
        rows.append(
            {"metric": metric, "group": comparison.first.name, "n": len(comparison.first.runs)}
            | {"mean": of_first.mean_a, "sd": of_first.sd_a}
        )
        for contrast in comparison.contrasts:
            line = contrast.lines[metric]
            found = line.difference
            rows.append(
                {"metric": metric, "group": contrast.group.name, "n": len(contrast.group.runs)}
                | {"mean": found.mean_b, "sd": found.sd_b, "difference": found.difference}
                | {"low": found.low, "high": found.high, "p": found.p, "p_holm": line.p_holm}
                | {"effect": found.effect, "verdict": line.verdict}
            )
    frame = pd.DataFrame(rows, columns=["metric", "group", "n", "mean", "sd", *NUMBERS, "verdict"])
    frame = frame.astype(dict.fromkeys(("mean", "sd", *NUMBERS), float))
    for place, (key, values) in enumerate(comparison.params.items()):
        of_group = dict(zip((group.name for group in comparison.groups), values, strict=True))
        frame.insert(2 + place, f"params.{key}", frame["group"].map(of_group))
    return frame.set_index(["metric", "group"])


def groups(comparison: Comparison) -> list[str]:
    """A line for each group: its letter, its name, its seeds and its runs."""
    return [f"{letter}: {seeds_and_runs(group)}" for letter, group in zip(letters(), comparison.groups, strict=False)]


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know before reading the numbers: what else differs, and how groups are compared."""
    lines = [] if comparison.params else ["params that differ: none"]
    if comparison.code:
        lines.append(f"The code differs between runs ({', '.join(comparison.code)}): a difference may come from that.")
    if comparison.machines:
        lines.append(MACHINES)
        lines += [
            f"  {letter}: {' and '.join(machine or 'not recorded' for machine in machines)}"
            for letter, machines in zip(letters(), comparison.machines.values(), strict=False)
        ]
    if measures := [key for key in comparison.params if key.startswith(MEASUREMENT)]:
        lines.append(f"Params of the measurement differ ({', '.join(measures)}): metrics may not be comparable.")
    return [*lines, *_methods(comparison)]


def _methods(comparison: Comparison) -> list[str]:
    found: dict[str, list[str]] = {}
    for letter, contrast in zip(islice(letters(), 1, None), comparison.contrasts, strict=False):
        found.setdefault(_method(comparison, contrast), []).append(letter)
    return [text if len(found) == 1 else f"{', '.join(groups)}: {text}" for text, groups in found.items()]


def _method(comparison: Comparison, contrast: Contrast) -> str:
    if min(len(comparison.first.runs), len(contrast.group.runs)) == 1:
        return "One side has one seed, so its variation over seeds is unknown and no difference can be judged."
    if contrast.paired:
        fixed = (
            "" if any(key.startswith(FEATURES) for key in comparison.params) else ", with equal split and classifier"
        )
        return f"Paired by seed{fixed}: Student's t interval of the differences."
    return "Not paired, since the seeds are not the same: Welch's t interval of the difference of the means."


def foot(comparison: Comparison) -> list[str]:
    """How verdicts come about, and which metrics have none."""
    parts = []
    several = len(comparison.contrasts) > 1
    if comparison.judged:
        of = f"metrics × groups, each against a ({comparison.first.name})" if several else "metrics"
        correction = f"Verdicts: Holm's correction over {comparison.judged} {of}, family level {LEVEL}"
        parts.append(f"{correction}{'' if several else '; intervals: each alone'}.")
    if comparison.same:
        where = "in all groups" if several else "on both sides"
        parts.append("\n".join([f"The same {where}, so not judged:", *by_file(comparison.same)]))
    if comparison.left_out:
        parts.append("\n".join([LEFT_OUT, *by_file(comparison.left_out)]))
    return parts


def by_file(names: Sequence[str]) -> list[str]:
    """Metrics by the file in metrics/ that has them, a line for each file."""
    files: dict[str, list[str]] = {}
    for file, _, key in (name.partition(".") for name in names):
        files.setdefault(file, []).append(key)
    return [f"  {file}: {', '.join(keys)}" for file, keys in files.items()]


def seeds_and_runs(group: Group) -> str:
    """The group's name, its seeds, its runs with their commits."""
    runs = ", ".join(f"{run.name} ({run.commit[:8]})" for run in group.runs)
    seeds = f"seed{'s' * (len(group.runs) > 1)} {', '.join(map(str, group.seeds))}"
    return f"{group.name}, {seeds}: {runs}"


def as_text(comparison: Comparison) -> str:
    """What is compared and how, params that differ and metrics as rows, groups as columns; which metrics have no row.

    Two groups have the statistics of their difference beside them; of more, a mark shows the verdict, and groups that
    do not fit into 120 columns follow below.
    """
    make = _pair if len(comparison.contrasts) == 1 else _many
    blocks = make(comparison) if comparison.metrics or comparison.params else []
    tables = ("\n".join(_aligned(rows)) for rows in blocks)
    head = "\n".join([*groups(comparison), *notes(comparison), *effect(comparison)])
    return "\n\n".join([head, *tables, *legend(comparison), *foot(comparison)])


def _pair(comparison: Comparison) -> list[list[list[str]]]:
    """One table, with the statistics of the difference, as far as there is room for them."""
    rows = [
        [n, a.mean, b.mean, b.difference, b.interval, b.effect, b.verdict] for n, (a, b) in metric_cells(comparison)
    ]
    below = [*_top(comparison), *rows]
    whole = [["metric", *_names(comparison, below), *OF_A_PAIR], *below]
    kept = next((k for k in KEPT if _width([_kept(row, k) for row in whole]) <= WIDTH), KEPT[-1])
    return [[_kept(row, kept) for row in whole]]


def _many(comparison: Comparison) -> list[list[list[str]]]:
    """Tables of the first group and as many others as fit beside it."""
    metrics = [[name, *(f"{cell.mean} {mark(cell)}" for cell in row)] for name, row in metric_cells(comparison)]
    below = [*([row[0], *(f"{cell}  " for cell in row[1:])] for row in _top(comparison)), *metrics]
    rows = [["metric", *_names(comparison, below)], *below]
    blocks: list[list[int]] = []
    for place in range(2, len(rows[0])):
        if blocks and _width([_kept(row, [0, 1, *blocks[-1], place]) for row in rows]) <= WIDTH:
            blocks[-1].append(place)
        else:
            blocks.append([place])
    return [[_kept(row, [0, 1, *block]) for row in rows] for block in blocks]


def effect(comparison: Comparison) -> list[str]:
    """What the column g holds, where it is shown."""
    if not comparison.judged or len(comparison.contrasts) > 1:
        return []
    kind = "Hedges' g for pairs (g_av)" if comparison.contrasts[0].paired else "Hedges' g"
    return [f"g: {kind}, the difference in standard deviations between runs."]


def legend(comparison: Comparison) -> list[str]:
    """What the marks of several groups mean; of two groups the verdicts are words."""
    verdicts = {line.verdict for contrast in comparison.contrasts for line in contrast.lines.values()}
    marks = [f"{mark}: {verdict}" for verdict, mark in MARKS.items() if verdict in verdicts]
    return ["; ".join(marks)] if marks and len(comparison.contrasts) > 1 else []


def metric_cells(comparison: Comparison) -> Iterator[tuple[str, list[Cell]]]:
    """The texts of each metric, by group."""
    for name, rows in table(comparison).groupby(level="metric", sort=False):
        yield str(name), cells(rows)


def pair_rows(comparison: Comparison) -> list[list[str]]:
    """The texts of each metric of two groups: its name, both groups' and those of :data:`OF_A_PAIR`."""
    cells = metric_cells(comparison)
    return [[name, a.mean, b.mean, b.difference, b.interval, b.effect, b.verdict] for name, (a, b) in cells]


def _names(comparison: Comparison, below: Sequence[Sequence[str]]) -> list[str]:
    """Above each column its group's letter and name, no longer than what stands ``below``."""
    names = [f"{letter}: {group.name}" for letter, group in zip(letters(), comparison.groups, strict=False)]
    widths = (max(SHORTEST, *(len(row[place]) for row in below)) for place in range(1, len(names) + 1))
    return [_cut(name, width) for name, width in zip(names, widths, strict=True)]


def _top(comparison: Comparison) -> list[list[str]]:
    """Rows that stand above the metrics: the params that differ, and how many seeds there are."""
    params = [[key, *(_cut(parameter(v), LONGEST) for v in values)] for key, values in comparison.params.items()]
    return [*params, ["seeds", *(str(len(group.runs)) for group in comparison.groups)]]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def mark(cell: Cell) -> str:
    """The verdict as one character, a space where it has no mark."""
    sign = MARKS.get(cell.verdict, "")
    return sign if len(sign) == 1 else " "


def _kept(row: Sequence[str], places: Sequence[int]) -> list[str]:
    return [row[place] for place in places if place < len(row)]


def _width(rows: Sequence[Sequence[str]]) -> int:
    return max(map(len, _aligned(rows)))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Words to the left, numbers to the right; a row may end early."""
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(len(rows[0]))]
    sides = ["<" if title in ("metric", "verdict") else ">" for title in rows[0]]
    return ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=False)).rstrip() for row in rows]
