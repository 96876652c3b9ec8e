"""Runs over several values of one parameter, perhaps over seeds each, and the file that keeps them."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

from genbalance.errors import UserError
from genbalance.reporting import grids
from genbalance.reporting.text import SYMBOLS

OF = {"lambda": "gan", "beta": "vae"}
COLUMNS = {
    "vae": {
        "evaluate_vae.rate": "rate",
        "evaluate_vae.distortion": "distortion",
        "evaluate_vae.nelbo": "-ELBO",
        "evaluate_vae.nll": "nll",
        "evaluate_vae.active_units": "active",
        "evaluate_vae.fd_test": "FD samples",
        "evaluate_vae.fd_reconstructions": "FD rebuilt",
        "evaluate_vae.classifier_score": "score",
    },
    "gan": {
        "evaluate_gan.fd_test": "FD",
        "evaluate_gan.classifier_score": "score",
        "evaluate_gan.precision": "precision",
        "evaluate_gan.recall": "recall",
        "evaluate_gan.coverage": "coverage",
        "evaluate_gan.d_accuracy_test": "D on test",
        "evaluate_gan.d_accuracy_generated": "D on generated",
        "evaluate_gan.d_auc_test": "D AUC",
        "evaluate_gan.class_share_min": "rarest class",
    },
}
PICTURES = {"vae": ("samples", "reconstructions"), "gan": ("samples",)}


@dataclass(frozen=True)
class Sweep:
    """Runs by the value of the one parameter that varies.

    Attributes:
        key: the parameter, dotted.
        shared: all others, dotted, but the seed.
        values: in rising order.
        seeds: of the runs of each value.
        metrics: by dotted name, for each value the value of each of its runs.
        name: what the figure is called: that of the file that keeps it, or the parameter.
        pictures: by value, PNG bytes of the first rows of the grids of :data:`PICTURES`, of runs of one seed, by their
            names; the values whose runs keep none are missing.
    """

    key: str
    shared: Mapping[str, Any]
    values: tuple[float, ...]
    seeds: tuple[tuple[int, ...], ...]
    metrics: Mapping[str, tuple[tuple[float, ...], ...]]
    name: str
    pictures: Mapping[float, Mapping[str, bytes]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model that the parameter belongs to."""
        return model(self.key)

    @property
    def symbol(self) -> str:
        """λ, β or the parameter's own name."""
        return SYMBOLS.get(self.key, self.key)

    def means(self, metric: str) -> list[float]:
        """Over the seeds of each value."""
        return [mean(values) for values in self.metrics[metric]]


def model(key: str) -> str:
    """The model that a parameter belongs to."""
    return OF.get(key, key.split(".")[0])


def as_json(sweep: Sweep) -> dict[str, Any]:
    """Every metric of every run, of the model that the parameter belongs to."""
    own = tuple(f"{stage}_{sweep.model}." for stage in ("train", "evaluate"))
    points = [
        {
            sweep.key: value,
            "seeds": sweep.seeds[place],
            "metrics": {name: values[place] for name, values in sweep.metrics.items() if name.startswith(own)},
        }
        for place, value in enumerate(sweep.values)
    ]
    seeds = sorted(set(chain.from_iterable(sweep.seeds)))
    return {"parameter": sweep.key, "params": dict(sweep.shared), "seeds": seeds, "points": points}


def picture_path(path: Path, name: str, value: float) -> Path:
    """Where the picture ``name`` of a value stands of the sweep in the file ``path``: in a folder of its name."""
    return path.with_suffix("") / f"{name}_{value:.15g}.png"


def read_sweep(path: Path) -> Sweep:
    """What :func:`as_json` made, out of a file, with the pictures beside it (:func:`picture_path`).

    Raises:
        UserError: it cannot be read, or it is not such a file, or it lacks what is drawn.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        key, points = told["parameter"], told["points"]
        names = sorted(set.intersection(*(set(point["metrics"]) for point in points)))
        sweep = Sweep(
            key=str(key),
            shared=dict(told["params"]),
            values=tuple(_finite(point[key]) for point in points),
            seeds=tuple(tuple(int(_finite(seed)) for seed in point["seeds"]) for point in points),
            metrics={name: tuple(tuple(map(_finite, point["metrics"][name])) for point in points) for name in names},
            name=path.stem,
        )
        sweep = replace(sweep, pictures=_pictures(sweep, path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise UserError(f"{path}: is no sweep; write it with `genbalance sweep EXPERIMENTS --json {path}`") from None
    if mistake := _mistake(sweep):
        raise UserError(f"{path}: {mistake}; write it again with `genbalance sweep EXPERIMENTS --json {path}`")
    return sweep


def _pictures(sweep: Sweep, path: Path) -> dict[float, dict[str, bytes]]:
    """The pictures of the values that have all of theirs.

    Raises:
        UserError: one is no grid.
    """
    names = PICTURES.get(sweep.model, ())
    found = {}
    for value in sweep.values:
        files = {name: picture_path(path, name, value) for name in names}
        if names and all(file.is_file() for file in files.values()):
            found[value] = {name: _grid(file, path) for name, file in files.items()}
    return found


def _grid(file: Path, path: Path) -> bytes:
    png = file.read_bytes()
    try:
        rows = grids.row_count(png)
    except OSError:
        rows = 0
    if rows < 2:
        raise UserError(
            f"{file}: is no grid of {grids.COLUMNS} columns; remove it, or write it again with "
            f"`genbalance sweep EXPERIMENTS --json {path}`"
        )
    return png


def _mistake(sweep: Sweep) -> str | None:
    """What is wrong with a sweep out of a file."""
    if sweep.model not in COLUMNS:
        return f"parameter: found {sweep.key!r}; allowed: lambda, beta, or a parameter of gan or vae"
    if list(sweep.values) != sorted(set(sweep.values)):
        return f"{sweep.key}: found {', '.join(map(str, sweep.values))}; allowed: values in rising order"
    if missing := [name for name in COLUMNS[sweep.model] if name not in sweep.metrics]:
        return f"metrics: has no {', '.join(missing)}"
    runs = [len(seeds) for seeds in sweep.seeds]
    if not all(runs):
        return "seeds: found none; allowed: at least one of each value"
    for name, values in sweep.metrics.items():
        if (found := [len(group) for group in values]) != runs:
            return f"{name}: found {found} numbers for {runs} seeds; allowed: one each"
    return None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)
