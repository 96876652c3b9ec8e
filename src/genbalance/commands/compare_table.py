"""A comparison as plain text."""

from collections.abc import Iterator, Sequence

from genbalance.commands.compare import Comparison
from genbalance.commands.compare_frame import table
from genbalance.commands.compare_words import foot, groups, notes
from genbalance.reporting.spread import NOT_JUDGED, SAME, STANDS_OUT, WITHIN, Cell, cells
from genbalance.reporting.text import letters, parameter

WIDTH = 120
MARKS = {STANDS_OUT: "*", WITHIN: "no mark", SAME: "=", NOT_JUDGED: "?"}
LONGEST = 24  # characters of a param's value
SHORTEST = 16  # to which a group's name is cut, where the numbers below it are not longer
KEPT = (range(7), (0, 1, 2, 3, 4, 6), (0, 1, 2, 3, 6))  # columns of a pair: all, without g, without the interval


def as_text(comparison: Comparison) -> str:
    """What is compared and how, params that differ and metrics as rows, groups as columns; which metrics have no row.

    Two groups have the statistics of their difference beside them; of more, a mark tells the verdict, and groups that
    do not fit into 120 columns follow below.
    """
    make = _pair if len(comparison.contrasts) == 1 else _many
    blocks = make(comparison) if comparison.metrics or comparison.params else []
    tables = ("\n".join(_aligned(rows)) for rows in blocks)
    head = "\n".join([*groups(comparison), *notes(comparison), *_effect(comparison)])
    return "\n\n".join([head, *tables, *_legend(comparison), *foot(comparison)])


def _pair(comparison: Comparison) -> list[list[list[str]]]:
    """One table, with the statistics of the difference, as far as there is room for them."""
    rows = [[n, a.mean, b.mean, b.difference, b.interval, b.effect, b.verdict] for n, (a, b) in _metrics(comparison)]
    below = [*_top(comparison), *rows]
    whole = [["metric", *_names(comparison, below), "b − a", "95% interval", "g", "verdict"], *below]
    kept = next((k for k in KEPT if _width([_kept(row, k) for row in whole]) <= WIDTH), KEPT[-1])
    return [[_kept(row, kept) for row in whole]]


def _many(comparison: Comparison) -> list[list[list[str]]]:
    """Tables of the first group and as many others as fit beside it."""
    metrics = [[name, *(f"{cell.mean} {_mark(cell)}" for cell in row)] for name, row in _metrics(comparison)]
    below = [*([row[0], *(f"{cell}  " for cell in row[1:])] for row in _top(comparison)), *metrics]
    rows = [["metric", *_names(comparison, below)], *below]
    blocks: list[list[int]] = []
    for place in range(2, len(rows[0])):
        if blocks and _width([_kept(row, [0, 1, *blocks[-1], place]) for row in rows]) <= WIDTH:
            blocks[-1].append(place)
        else:
            blocks.append([place])
    return [[_kept(row, [0, 1, *block]) for row in rows] for block in blocks]


def _effect(comparison: Comparison) -> list[str]:
    if not comparison.judged or len(comparison.contrasts) > 1:
        return []
    kind = "Hedges' g for pairs (g_av)" if comparison.contrasts[0].paired else "Hedges' g"
    return [f"g: {kind}, the difference in standard deviations between runs."]


def _legend(comparison: Comparison) -> list[str]:
    told = {line.verdict for contrast in comparison.contrasts for line in contrast.lines.values()}
    marks = [f"{mark}: {verdict}" for verdict, mark in MARKS.items() if verdict in told]
    return ["; ".join(marks)] if marks and len(comparison.contrasts) > 1 else []


def _metrics(comparison: Comparison) -> Iterator[tuple[str, list[Cell]]]:
    for name, rows in table(comparison).groupby(level="metric", sort=False):
        yield str(name), cells(rows)


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


def _mark(cell: Cell) -> str:
    mark = MARKS.get(cell.verdict, "")
    return mark if len(mark) == 1 else " "


def _kept(row: Sequence[str], places: Sequence[int]) -> list[str]:
    return [row[place] for place in places if place < len(row)]


def _width(rows: Sequence[Sequence[str]]) -> int:
    return max(map(len, _aligned(rows)))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Words to the left, numbers to the right; a row may end early."""
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(len(rows[0]))]
    sides = ["<" if title in ("metric", "verdict") else ">" for title in rows[0]]
    return ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=False)).rstrip() for row in rows]
