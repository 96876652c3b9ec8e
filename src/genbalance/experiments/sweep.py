"""A sweep: runs over several values of one parameter, perhaps over seeds each, as tables, figures and files; or of two
parameters, as a map.

A parameter may belong to several model families; each that the runs have measured has a table and a figure of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from genbalance.experiments.runs import Run, differing, find_runs, sample_grids
from genbalance.families.registry import Family, known, of_param
from genbalance.reporting import grids
from genbalance.reporting.map import Map, Place, concerned, distance
from genbalance.reporting.sweep import (
    Sweep,
    as_json,
    columns,
    figure,
    kl_terms,
    missing,
    parameters,
    picture_path,
    scores,
)
from genbalance.reporting.text import aligned, listed, mean_sd, parameter
from genbalance.reporting.theme import LIGHT, Plot, png
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file, write_json

ROWS = 4  # of each grid that a sweep keeps: 40 samples; 20 originals, each row above that of their reconstructions
SWEEPS = ("metrics", "sweeps")  # the folder that the report reads


def find_sweep(text: str, pictures: bool = False) -> Sweep | Map:
    """The runs that ``text`` stands for (see :func:`genbalance.experiments.runs.find_commits`), by the parameter that
    varies, or the two that do.

    Args:
        text: names, patterns, revisions.
        pictures: of a sweep, read the first rows of the runs' grids out of their commits, too: those of the runs of
            its :attr:`~genbalance.reporting.sweep.Sweep.seed`.

    Raises:
        UserError: one cannot be read, or they are no sweep (:func:`sweep_of`) and no map (:func:`map_of`).
    """
    runs = find_runs(text)
    if len(differing(*(run.params for run in runs))) == 2:
        return map_of(runs, text)
    sweep = sweep_of(runs, text)
    return replace(sweep, pictures=_pictures(sweep, runs)) if pictures else sweep


def sweep_of(runs: Sequence[Run], text: str) -> Sweep:
    """The ``runs`` by the parameter that varies; ``text`` is their name in an error.

    Raises:
        UserError: one lacks a metric that is shown; no parameter varies, several do, it belongs to no family, or its
            values are no numbers; two runs have the same value and the same seed; or the code differs.
    """
    varying = differing(*(run.params for run in runs))
    if len(varying) != 1:
        names = ", ".join(varying) or "none does"
        raise UserError(
            f"{text}: one or two parameters may vary over the runs of a sweep, beside the seed; here: {names}"
        )
    (key,) = varying
    members = {value: group for (value,), group in _members(runs, text, varying).items()}
    shared = set.intersection(*(set(run.metrics) for run in runs))
    if lacks := missing(key, shared):
        raise UserError(f"{text}: not every run has measured {', '.join(lacks)} with its own params")
    return Sweep(
        key=key,
        shared={name: value for name, value in runs[0].params.items() if name != key},
        values=tuple(members),
        seeds=tuple(tuple(run.seed for run in group) for group in members.values()),
        metrics={
            name: tuple(tuple(run.metrics[name] for run in group) for group in members.values())
            for name in sorted(shared)
        },
        name=key,
    )


def map_of(runs: Sequence[Run], text: str) -> Map:
    """The ``runs`` by the two parameters that vary, λ first; ``text`` is their name in an error.

    Raises:
        UserError: no run has measured the distance that is shown; or as in :func:`sweep_of`.
    """
    varying = differing(*(run.params for run in runs))
    keys = tuple(sorted(varying, key=lambda key: key != "lambda"))
    members = _members(runs, text, {key: varying[key] for key in keys})
    shared = {at: set.intersection(*(set(run.metrics) for run in group)) for at, group in members.items()}
    found = Map(
        keys=keys,
        shared={name: value for name, value in runs[0].params.items() if name not in keys},
        seeds={at: tuple(run.seed for run in group) for at, group in members.items()},
        metrics={
            at: {name: tuple(run.metrics[name] for run in group) for name in sorted(shared[at])}
            for at, group in members.items()
        },
    )
    if not found.families:
        metrics = listed(map(distance, concerned(keys)), "or")
        raise UserError(f"{text}: no run has measured {metrics} with its own params")
    return found


def _members(runs: Sequence[Run], text: str, varying: Mapping[str, Sequence[Any]]) -> dict[Place, list[Run]]:
    """The runs by their values of the parameters that vary, in rising order, those of equal values by their seeds."""
    for key in varying:
        if not of_param(key):
            raise UserError(f"{text}: {key} varies; allowed: {parameters()}")
    if code := differing(*(run.code for run in runs)):
        raise UserError(f"{text}: the code differs over the runs ({', '.join(code)}); allowed: runs of the same code")
    for key, found in varying.items():
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
            raise UserError(f"{text}: {key} varies over {', '.join(map(str, found))}; allowed: numbers")
    members: dict[Place, list[Run]] = {}
    places = zip(*varying.values(), strict=True)
    for at, run in sorted(zip(places, runs, strict=True), key=lambda pair: (pair[0], pair[1].seed)):
        members.setdefault(at, []).append(run)
    for at, group in members.items():
        if len({run.seed for run in group}) < len(group):
            where = ", ".join(f"{key} = {value:g}" for key, value in zip(varying, at, strict=True))
            raise UserError(f"{text}: {where} has a seed twice; allowed: each once")
    return members


def _pictures(sweep: Sweep, runs: Sequence[Run]) -> dict[float, dict[str, bytes]]:
    names = {file: name for name, file in sweep.grids.items()}
    found = {}
    for run in runs:
        if run.seed == sweep.seed:
            kept = {names[name]: png for name, png in sample_grids(run.commit, tuple(names)).items()}
            if len(kept) == len(names) and all(grids.row_count(png) >= ROWS for png in kept.values()):
                found[run.params[sweep.key]] = {name: grids.rows(png, 0, ROWS) for name, png in kept.items()}
    return {value: found[value] for value in sweep.values if value in found}


def as_text(sweep: Sweep | Map) -> str:
    """A line for each value: the mean of each metric that the parameter moves, and where there are several seeds ±
    their standard deviation. Several families have a table each, below their titles. Of a map, a table of the Fréchet
    distance for each family."""
    if isinstance(sweep, Map):
        return "\n\n".join(map(sweep.table, sweep.families))
    tables = {family.title: _table(sweep, family) for family in sweep.families}
    if len(tables) == 1:
        return next(iter(tables.values()))
    return "\n\n".join(f"{title}\n{table}" for title, table in tables.items())


def _table(sweep: Sweep, family: Family) -> str:
    shown = {name: label for name, label in columns(family).items() if name in sweep.metrics}
    shown |= kl_terms(family, sweep.metrics) | scores(family, sweep.metrics)
    rows = [[sweep.key, "seeds", *shown.values()]]
    for place, value in enumerate(sweep.values):
        cells = (mean_sd(sweep.metrics[name][place]) for name in shown)
        rows.append([parameter(value), str(len(sweep.seeds[place])), *cells])
    return aligned(rows)


def save(sweep: Sweep | Map, picture: Path | None, json: Path | None) -> list[Path]:
    """Draws the figure and writes the numbers, and beside these the pictures, where wanted. A picture of an earlier
    sweep of that name is removed.

    Of several families each has a figure, in a file with the family's name before the suffix.

    Returns:
        The files of figures and numbers.

    Raises:
        UserError: a file cannot be written; or the numbers of a map would be where the report reads sweeps.
    """
    if isinstance(sweep, Map) and json and json.resolve().parent.parts[-2:] == SWEEPS:
        raise UserError(f"{json}: the report reads sweeps of one parameter in {'/'.join(SWEEPS)}; use another folder")
    draw: Callable[[Family], Plot] = sweep.figure if isinstance(sweep, Map) else partial(figure, sweep)
    content = sweep.as_json() if isinstance(sweep, Map) else as_json(sweep)
    kept = {} if isinstance(sweep, Map) else sweep.pictures
    written = []
    try:
        if picture:
            several = len(sweep.families) > 1
            for family in sweep.families:
                file = picture.with_stem(f"{picture.stem}_{family.name}") if several else picture
                with whole_file(file) as part:
                    part.write_bytes(png(draw(family), LIGHT))
                written.append(file)
        if json:
            write_json(json, content)
            written.append(json)
            grids_of = {(family.name, grid) for family in known().values() for grid in family.grids}
            for name in {*(grid for _, grid in grids_of), *map("_".join, grids_of)}:
                for stale in json.with_suffix("").glob(f"{name}_*.png"):
                    stale.unlink()
            for value, pictures in kept.items():
                for name, image in pictures.items():
                    with whole_file(picture_path(json, name, value)) as part:
                        part.write_bytes(image)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return written
