"""A sweep: runs over several values of one parameter, perhaps over seeds each, as a table, a figure and files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from genbalance.commands.columns import aligned
from genbalance.errors import UserError
from genbalance.experiment_files import sample_grids
from genbalance.experiments import Run, differing, find_commits, read_run
from genbalance.files import whole_file, write_json
from genbalance.reporting import grids
from genbalance.reporting.style import LIGHT, png
from genbalance.reporting.sweep import COLUMNS, OF, PICTURES, Sweep, as_json, model, picture_path
from genbalance.reporting.sweep_curves import figure
from genbalance.reporting.text import parameter

ROWS = 4  # of each grid that a sweep keeps: 40 samples; 20 originals, each row above that of their reconstructions


def find_sweep(text: str, pictures: bool = False) -> Sweep:
    """The runs that ``text`` stands for (:func:`genbalance.experiments.find_commits`), by the parameter that varies.

    Args:
        text: names, patterns, revisions.
        pictures: read the first rows of the runs' grids out of their commits, too: of the least seed that all values
            have, since latents are shared within a seed alone.

    Raises:
        UserError: one cannot be read, or they are no sweep (:func:`sweep_of`).
    """
    runs = [read_run(name, commit) for commit, name in find_commits(text).items()]
    sweep = sweep_of(runs, text)
    return replace(sweep, pictures=_pictures(sweep, runs)) if pictures else sweep


def sweep_of(runs: Sequence[Run], text: str) -> Sweep:
    """The ``runs`` by the parameter that varies; ``text`` is what a refusal calls them.

    Raises:
        UserError: one lacks a metric that is shown; no parameter varies, several do, it belongs to no model, or its
            values are no numbers; two runs have the same value and the same seed; or the code differs.
    """
    varying = differing(*(run.params for run in runs))
    if len(varying) != 1:
        told = ", ".join(varying) or "none does"
        raise UserError(
            f"{text}: exactly one parameter may vary over the runs of a sweep, beside the seed; here: {told}"
        )
    ((key, found),) = varying.items()
    if key not in OF and not key.startswith(("gan.", "vae.")):
        raise UserError(f"{text}: {key} varies; allowed: lambda, beta, or a parameter of gan or vae")
    if code := differing(*(run.code for run in runs)):
        raise UserError(f"{text}: the code differs over the runs ({', '.join(code)}); allowed: runs of the same code")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        raise UserError(f"{text}: {key} varies over {', '.join(map(str, found))}; allowed: numbers")
    members: dict[float, list[Run]] = {}
    for value, run in sorted(zip(found, runs, strict=True), key=lambda pair: (pair[0], pair[1].seed)):
        members.setdefault(value, []).append(run)
    for value, group in members.items():
        if len({run.seed for run in group}) < len(group):
            raise UserError(f"{text}: {key} = {value:g} has a seed twice; allowed: each once")
    shared = set.intersection(*(set(run.metrics) for run in runs))
    if missing := [name for name in COLUMNS[model(key)] if name not in shared]:
        raise UserError(f"{text}: not every run has measured {', '.join(missing)} with its own params")
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


def _pictures(sweep: Sweep, runs: Sequence[Run]) -> dict[float, dict[str, bytes]]:
    shared = set.intersection(*map(set, sweep.seeds))
    names = {f"train_{sweep.model}_{name}": name for name in PICTURES[sweep.model]}
    found = {}
    for run in runs if shared else ():
        if run.seed == min(shared):
            kept = {names[name]: png for name, png in sample_grids(run.commit, tuple(names)).items()}
            if len(kept) == len(names) and all(grids.row_count(png) >= ROWS for png in kept.values()):
                found[run.params[sweep.key]] = {name: grids.rows(png, 0, ROWS) for name, png in kept.items()}
    return {value: found[value] for value in sweep.values if value in found}


def as_text(sweep: Sweep) -> str:
    """A line for each value: the mean of each metric that the parameter moves, and where there are several seeds ±
    their standard deviation."""
    columns = COLUMNS[sweep.model]
    rows = [[sweep.key, "seeds", *columns.values()]]
    for place, value in enumerate(sweep.values):
        cells = (_cell(sweep.metrics[name][place]) for name in columns)
        rows.append([parameter(value), str(len(sweep.seeds[place])), *cells])
    return aligned(rows)


def _cell(values: tuple[float, ...]) -> str:
    spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
    return f"{mean(values):.4g}{spread}"


def save(sweep: Sweep, picture: Path | None, json: Path | None) -> None:
    """Draws the figure and writes the numbers, and beside these the pictures, where wanted. A picture of an earlier
    sweep of that name is removed.

    Raises:
        UserError: a file cannot be written.
    """
    try:
        if picture:
            with whole_file(picture) as part:
                part.write_bytes(png(figure(sweep), LIGHT))
        if json:
            write_json(json, as_json(sweep))
            for name in {*PICTURES["vae"], *PICTURES["gan"]}:
                for stale in json.with_suffix("").glob(f"{name}_*.png"):
                    stale.unlink()
            for value, pictures in sweep.pictures.items():
                for name, image in pictures.items():
                    with whole_file(picture_path(json, name, value)) as part:
                        part.write_bytes(image)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
