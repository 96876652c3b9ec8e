"""A comparison of two experiments as plain text."""

import math
from collections.abc import Sequence

from genbalance.commands.compare import LEVEL, Comparison, Group, Line
from genbalance.reporting.text import parameter

HEADER = ("metric", "a: mean ± SD", "b: mean ± SD", "b − a", "95% interval", "g", "verdict")
SIDES = "<>>>>><"
YARDSTICK = ("data.", "classifier.", "evaluate.")  # what measures the samples, and not what is measured


def as_text(comparison: Comparison) -> str:
    """What is compared and how, a line for each metric, and which metrics have none."""
    rows = [HEADER, *((name, *_cells(line)) for name, line in comparison.lines.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["", *(_row(row, widths) for row in rows)] if comparison.lines else []
    return "\n".join([*_head(comparison), *table, *_foot(comparison)])


def _head(comparison: Comparison) -> list[str]:
    params = ", ".join(f"{key}: {' → '.join(map(parameter, row))}" for key, row in comparison.params.items())
    lines = [_group("a", comparison.a), _group("b", comparison.b), f"params that differ: {params or 'none'}"]
    if comparison.code:
        lines.append(f"The code differs between runs ({', '.join(comparison.code)}): a difference may come from there.")
    if measures := [key for key in comparison.params if key.startswith(YARDSTICK)]:
        lines.append(f"{', '.join(measures)}: also what measures differs, so distances and scores may not compare.")
    return [*lines, *_method(comparison)]


def _method(comparison: Comparison) -> list[str]:
    if min(len(comparison.a.runs), len(comparison.b.runs)) == 1:
        return ["One seed on a side: its spread is not known, so no difference can be judged."]
    if comparison.paired:
        return [
            "Paired by seed, which fixes split and judge: Student's t interval of the differences.",
            "g: Hedges' g for pairs (g_av), the difference in standard deviations between runs.",
        ]
    return [
        "Not paired, since the seeds are not the same: Welch's t interval of the difference of the means.",
        "g: Hedges' g, the difference in standard deviations between runs.",
    ]


def _foot(comparison: Comparison) -> list[str]:
    judged = sum(line.p_holm is not None for line in comparison.lines.values())
    lines = []
    if judged:
        lines += [
            "",
            f"Verdicts: Holm's correction over {judged} metrics, family level {LEVEL}; intervals: each alone.",
        ]
    if comparison.same:
        lines += ["", "The same on both sides, so not judged:", *_by_file(comparison.same)]
    if comparison.left_out:
        lines += ["", "Left out, not a finite number in every run:", *_by_file(comparison.left_out)]
    return lines


def _by_file(names: Sequence[str]) -> list[str]:
    files: dict[str, list[str]] = {}
    for file, _, key in (name.partition(".") for name in names):
        files.setdefault(file, []).append(key)
    return [f"  {file}: {', '.join(keys)}" for file, keys in files.items()]


def _group(side: str, group: Group) -> str:
    runs = ", ".join(f"{run.name} ({run.commit[:8]})" for run in group.runs)
    seeds = f"seed{'s' * (len(group.runs) > 1)} {', '.join(map(str, group.seeds))}"
    return f"{side}: {group.text}, {seeds}: {runs}"


def _cells(line: Line) -> tuple[str, ...]:
    found = line.difference
    sides = ((found.mean_a, found.sd_a), (found.mean_b, found.sd_b))
    digits = fine = _decimals(line, max(found.sd_a or 0.0, found.sd_b or 0.0))
    means = [_fixed(mean, digits) + (f" ± {_fixed(sd, digits)}" if sd is not None else "") for mean, sd in sides]
    interval = effect = "–"
    if found.low is not None and found.high is not None and found.effect is not None:
        fine = _decimals(line, (found.high - found.low) / 2)  # pairs may tell far less than the spread of a side
        interval = f"[{_fixed(found.low, fine, '+')}, {_fixed(found.high, fine, '+')}]"
        effect = _fixed(found.effect, 2, "+").replace("inf", "∞")
    return (*means, _fixed(found.difference, fine, "+"), interval, effect, line.verdict)


def _decimals(line: Line, spread: float) -> int:
    """Two significant digits of the spread; where nothing spreads, four of the difference or whole numbers."""
    if not spread and all(value.is_integer() for value in (*line.a, *line.b)):
        return 0
    digits, scale = (2, spread) if spread else (4, abs(line.difference.difference) or 1.0)
    return min(max(digits - 1 - math.floor(math.log10(scale)), 0), 15)


def _fixed(value: float, decimals: int, sign: str = "-") -> str:
    return f"{value:{sign}z,.{decimals}f}".replace("-", "−")


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, SIDES, widths, strict=True))
    return "  ".join(aligned).rstrip()
