"""What the page of a comparison tells, gathered from its commits."""

import io
from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

from genbalance.commands.compare import Comparison
from genbalance.commands.compare_frame import table
from genbalance.commands.compare_words import foot, notes
from genbalance.commands.groups import Group
from genbalance.commands.sweep import sweep_of
from genbalance.errors import UserError
from genbalance.experiment_files import PICTURES, TRAININGS, curves, sample_grids
from genbalance.reporting.comparison_page import Grid, Side, Told
from genbalance.reporting.overlay import PANELS, TITLES, overlay
from genbalance.reporting.spread import cells
from genbalance.reporting.style import Plot
from genbalance.reporting.sweep_curves import figure
from genbalance.reporting.text import letters, parameter

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = {"train_gan_samples": "GAN: samples", "train_vae_samples": "VAE: samples"}
Files = Mapping[str, Mapping[str, bytes]]
"""Bytes by commit and name."""


def told(comparison: Comparison) -> Told:
    """Everything that the page tells: it reads the commits' grids out of git and their curves out of DVC's cache."""
    groups = dict(zip(letters(), comparison.groups, strict=False))
    commits = {run.commit for group in comparison.groups for run in group.runs}
    grids = {commit: sample_grids(commit) for commit in commits}
    found = {commit: curves(commit) for commit in commits}
    differing = [training for training in TRAININGS if not _is_same(groups, found, training)]
    return Told(
        sides=[_side(letter, group) for letter, group in groups.items()],
        params={key: [parameter(value) for value in values] for key, values in comparison.params.items()},
        notes=notes(comparison),
        foot=foot(comparison),
        metrics={str(name): cells(rows) for name, rows in table(comparison).groupby(level="metric", sort=False)},
        grids={SHOWN[name]: rows for name in PICTURES if (rows := _grids(groups, grids, name))},
        curves=[plot for training in differing if (plot := _overlay(groups, found, training))],
        same_curves=[TITLES[training] for training in TRAININGS if training not in differing],
        missing=[
            f"{run.name}: {training}"
            for group in comparison.groups
            for run in group.runs
            for training in TRAININGS
            if training not in found[run.commit]
        ],
        sweep=_sweep(comparison),
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
    """Whether runs of one seed have the same curves in all groups; what there are none of is not the same."""
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


def _sweep(comparison: Comparison) -> Plot | None:
    """The figure of the one parameter that varies; None where it has none, or where the runs are no sweep."""
    try:
        sweep = sweep_of([run for group in comparison.groups for run in group.runs], "")
    except UserError:
        return None
    return figure(sweep)
