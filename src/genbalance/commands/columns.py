"""Rows of text as columns."""

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]], texts: bool = False) -> str:
    """Rows as lines, the first column to the left, the others to the right, or to the left as well where they are
    ``texts``; shorter rows are headings."""
    rows = list(rows)
    columns = max(map(len, rows))
    widths = [max(len(row[column]) for row in rows if len(row) == columns) for column in range(columns)]
    lines = []
    for row in rows:
        cells = row if len(row) == columns else ("".join(row),)
        padded = (
            f"{cell:{'<' if texts or column == 0 else '>'}{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=False))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
