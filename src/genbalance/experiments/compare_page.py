"""A comparison as a page, as files and as a run in MLflow: what the page shows is gathered from the commits here,
:mod:`genbalance.reporting.comparison_page` renders it."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from genbalance.experiments.compare import Comparison, Group, as_json
from genbalance.experiments.compare_markdown import STANDARD_OUTPUT, as_markdown
from genbalance.experiments.compare_table import foot, notes, table
from genbalance.experiments.cost import cost_table
from genbalance.experiments.runs import GRIDS, TRAININGS, curves, sample_grids
from genbalance.experiments.sweep import sweep_of
from genbalance.params import read_params
from genbalance.reporting.comparison_page import Content, Grid, Side, comparison_page
from genbalance.reporting.curves import PANELS, TITLES, overlay
from genbalance.reporting.spread import cells
from genbalance.reporting.sweep import figure
from genbalance.reporting.text import letters, parameter
from genbalance.reporting.theme import LIGHT, Plot, png
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file, write_json
from genbalance.tracking.run import keep_folder

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = "comparison"  # of the run in MLflow
Files = Mapping[str, Mapping[str, bytes]]
"""Bytes by commit and name."""


def save(
    comparison: Comparison, json: Path | None, html: Path | None, markdown: Path | None, base: str, mlflow: bool
) -> str:
    """Writes the numbers as JSON, the page, the comment, and a run in MLflow's experiment of params.yaml, each where
    wanted. The links of the comment start with ``base``.

    Returns:
        The name of the run, empty without one.

    Raises:
        UserError: a file cannot be written, or params.yaml or the tracking store cannot be used.
    """
    experiment = read_params().tracking.experiment if mlflow else ""
    page = ""
    if html or mlflow:
        shown = content(comparison)
        page = comparison_page(shown)
    try:
        if json:
            write_json(json, as_json(comparison))
        if html:
            _write(html, page)
        if markdown and markdown != STANDARD_OUTPUT:
            _write(markdown, as_markdown(comparison, base))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    if not mlflow:
        return ""
    with TemporaryDirectory() as place:
        folder = Path(place)
        _write(folder / "comparison.html", page)
        write_json(folder / "comparison.json", as_json(comparison))
        table(comparison).to_csv(folder / "table.csv", lineterminator="\n")
        if shown.cost and shown.cost.rows:
            write_json(folder / "cost.json", asdict(shown.cost))
        for plot in shown.plots:
            (folder / f"{plot.name}.png").write_bytes(png(plot, LIGHT))
        name = f"compare {' | '.join(group.name for group in comparison.groups)}"
        return keep_folder(experiment, name, KIND, folder)


def content(comparison: Comparison) -> Content:
    """All that the page shows: the commits' grids come out of git, their curves out of DVC's cache."""
    groups = dict(zip(letters(), comparison.groups, strict=False))
    commits = {run.commit for group in comparison.groups for run in group.runs}
    grids = {commit: sample_grids(commit, GRIDS) for commit in commits}
    found = {commit: curves(commit) for commit in commits}
    differing = [training for training in TRAININGS if not _is_same(groups, found, training)]
    return Content(
        sides=[_side(letter, group) for letter, group in groups.items()],
        params={key: [parameter(value) for value in values] for key, values in comparison.params.items()},
        notes=notes(comparison),
        foot=foot(comparison),
        metrics={str(name): cells(rows) for name, rows in table(comparison).groupby(level="metric", sort=False)},
        grids={title: rows for name, title in GRIDS.items() if (rows := _grids(groups, grids, name))},
        curves=[plot for training in differing if (plot := _overlay(groups, found, training))],
        same_curves=[TITLES[training] for training in TRAININGS if training not in differing],
        missing=[
            f"{run.name}: {training}"
            for group in comparison.groups
            for run in group.runs
            for training in TRAININGS
            if training not in found[run.commit] and any(key.startswith(f"{training}.") for key in run.metrics)
        ],
        sweeps=_sweeps(comparison),
        cost=cost_table(comparison),
    )


def _side(letter: str, group: Group) -> Side:
    runs = tuple(f"{run.name} ({run.commit[:8]})" for run in group.runs)
    return Side(letter, group.name, ", ".join(map(str, group.seeds)), runs)


def _grids(groups: Mapping[str, Group], files: Files, name: str) -> dict[str, list[Grid]]:
    """Rows of grids: of each group its first run, its second …, so that groups of the same seeds have a row a seed."""
    rows: dict[str, list[Grid]] = {}
    for runs in zip_longest(*(group.runs for group in groups.values())):
        there = {letter: run for letter, run in zip(groups, runs, strict=True) if run and name in files[run.commit]}
        seeds = dict.fromkeys(str(run.seed) for run in there.values())
        row = [
            Grid(files[run.commit][name], f"{letter}: {groups[letter].name}, seed {run.seed}")
            for letter, run in there.items()
        ]
        if len(row) > 1 and len({grid.image for grid in row}) == 1:
            row = [Grid(row[0].image, f"the same in all: {', '.join(there)}")]
        if row:
            rows[f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"] = row
    return rows


def _is_same(groups: Mapping[str, Group], files: Files, training: str) -> bool:
    """Whether runs of one seed have the same curves in all groups; without curves they have not."""
    found: dict[int, set[bytes | None]] = {}
    for group in groups.values():
        for run in group.runs:
            found.setdefault(run.seed, set()).add(files[run.commit].get(training))
    shared = len({group.seeds for group in groups.values()}) == 1
    return shared and all(len(texts) == 1 and None not in texts for texts in found.values())


def _overlay(groups: Mapping[str, Group], files: Files, training: str) -> Plot | None:
    tables = {
        f"{letter}: {group.name}": [
            read
            for run in group.runs
            if training in files[run.commit] and (read := _table(files[run.commit][training], training)) is not None
        ]
        for letter, group in groups.items()
    }
    return overlay(training, tables) if any(tables.values()) else None


def _table(text: bytes, training: str) -> "DataFrame | None":
    """The curves; None where the file has none that are shown, such as one of other code."""
    import pandas as pd

    try:
        read = pd.read_csv(io.BytesIO(text))
    except ValueError:
        return None
    shown = [key for key in ("epoch", *PANELS[training]) if key in read]
    numbers = all(pd.api.types.is_numeric_dtype(read[key]) for key in shown)
    return read if numbers and len(read) and "epoch" in shown and len(shown) > 1 else None


def _sweeps(comparison: Comparison) -> list[Plot]:
    """The figures of the one parameter that varies, one for each model family; none where the runs are no sweep."""
    try:
        sweep = sweep_of([run for group in comparison.groups for run in group.runs], "")
    except UserError:
        return []
    return [figure(sweep, family) for family in sweep.families]


def _write(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
