"""A comparison as a comment on GitHub: the text table's numbers as tables of GitHub-flavoured Markdown, and the sample
grids of the commits beside one another.

A relative path such as metrics/train_vae_samples.png shows no picture in a comment, which belongs to no folder: GitHub
resolves it against the page's own address. `../blob/COMMIT/PATH?raw=true` is the form that its manual names for issues
and pull requests ("Basic writing and formatting syntax", relative links of images); the same behind the repository's
address also works in a job's summary. The reader's own rights decide, so pictures of private repositories show.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from genbalance.experiments.compare import Comparison
from genbalance.experiments.compare_table import (
    OF_A_PAIR,
    effect,
    foot,
    groups,
    legend,
    mark,
    metric_cells,
    notes,
)
from genbalance.experiments.runs import GRIDS, Run, sample_grids
from genbalance.reporting.text import letters, parameter
from genbalance.runtime.repository import root, top

STANDARD_OUTPUT = Path("-")
WIDTH = 380  # pixels of a grid; two of them fit beside one another into a comment
SIGNS = re.compile(r"([\\`*_~\[\]<>&|!$])")  # which Markdown or HTML reads as more than text, anywhere in a line


def as_markdown(comparison: Comparison, base: str) -> str:
    """The comment; ``base`` is the address that the links of its pictures start with."""
    head = [*groups(comparison), *notes(comparison), *effect(comparison)]
    parts = [
        "\n".join(f"- {escaped(line.strip())}" for line in head),
        *_params(comparison),
        *_metrics(comparison),
        *map(escaped, legend(comparison)),
        *_grids(comparison, base.rstrip("/")),
        *_folded(foot(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """``text``, which starts with a letter or number, on one line, as Markdown that shows it as it is."""
    return SIGNS.sub(r"\\\1", _plain(text))


def _html(text: str) -> str:
    return escape(_plain(text))


def _plain(text: str) -> str:
    """On one line, without links to people and issues: GitHub makes them of @name and #1 even behind a backslash."""
    return " ".join(text.split()).replace("@", "@\u2060").replace("#", "#\u2060")


def _params(comparison: Comparison) -> Iterator[str]:
    if comparison.params:
        rows = ([key, *map(parameter, values)] for key, values in comparison.params.items())
        yield _table(["param", *_names(comparison)], rows)


def _metrics(comparison: Comparison) -> Iterator[str]:
    if not comparison.metrics:
        return
    if len(comparison.contrasts) == 1:
        rows = (
            [n, a.mean, b.mean, b.difference, b.interval, b.effect, b.verdict] for n, (a, b) in metric_cells(comparison)
        )
        yield _table(["metric", *_names(comparison), *OF_A_PAIR], rows)
    else:
        marked = ([n, *(f"{cell.mean} {mark(cell)}" for cell in row)] for n, row in metric_cells(comparison))
        yield _table(["metric", *_names(comparison)], marked)


def _names(comparison: Comparison) -> list[str]:
    return [f"{letter}: {group.name}" for letter, group in zip(letters(), comparison.groups, strict=False)]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Words to the left, numbers to the right."""
    sides = [":--" if title in ("param", "metric", "verdict") else "--:" for title in titles]
    cells = (map(escaped, row) for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (map(escaped, titles), sides, *cells))


def _grids(comparison: Comparison, base: str) -> Iterator[str]:
    """A table of HTML, in which GitHub lets a picture have a width: of each group its first run's samples."""
    runs = [group.runs[0] for group in comparison.groups]
    found = {run.commit: sample_grids(run.commit, GRIDS) for run in runs}
    shown = [name for name in GRIDS if any(name in files for files in found.values())]
    if not shown:
        return
    folder = root().relative_to(top(root()))
    titles = (f"<th>{_html(name)}, seed {run.seed}</th>" for name, run in zip(_names(comparison), runs, strict=True))
    rows = [f"<tr><th></th>{''.join(titles)}</tr>"]
    for name in shown:
        cells = [_picture(base, folder, name, run) if name in found[run.commit] else "–" for run in runs]
        rows.append(f"<tr><th>{_html(GRIDS[name])}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    yield "\n".join(["<table>", *rows, "</table>"])  # a blank line within would end the block of HTML


def _picture(base: str, folder: Path, name: str, run: Run) -> str:
    path = quote((folder / "metrics" / f"{name}.png").as_posix())
    source = escape(f"{base}/blob/{run.commit}/{path}?raw=true")
    return f'<img src="{source}" width="{WIDTH}" alt="{_html(f"{GRIDS[name]}, {run.name}")}">'


def _folded(parts: Sequence[str]) -> Iterator[str]:
    if parts:
        lines = "\n".join(f"- {escaped(line.strip())}" for part in parts for line in part.splitlines())
        yield f"<details><summary>Verdicts, and metrics without a row</summary>\n\n{lines}\n\n</details>"
