"""What the stages left behind, read once: metrics, tables and pictures."""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbalance.errors import UserError
from genbalance.reporting.sweep import Sweep, read_sweep

Table = Mapping[str, list[float]]
"""A CSV file by its columns."""

MODELS = ("gan", "vae")
METRICS = ("prepare", "train_classifier", "train_gan", "train_vae", "evaluate_gan", "evaluate_vae")
TABLES = {
    "train_classifier/curves": ("epoch", "train_loss", "val_loss", "val_accuracy"),
    "train_classifier/confusion": ("actual", "predicted"),
    "train_gan/curves": (
        *("epoch", "loss_d", "loss_g", "loss_total", "grad_norm_d", "grad_norm_g"),
        *("d_accuracy_real", "d_accuracy_generated", "d_accuracy_held_out"),
    ),
    "train_vae/curves": (
        *("epoch", "train_loss", "train_distortion", "train_rate"),
        *("val_loss", "val_distortion", "val_rate", "active_units"),
    ),
    "train_vae/kl_per_latent": ("latent", "kl"),
    **{f"evaluate_{model}/classes": ("class", "generated", "real", "n", "fd", "fd_floor") for model in MODELS},
    **{f"evaluate_{model}/interpolations": ("from", "to") for model in MODELS},
    **{f"evaluate_{model}/traversals": ("latent", "class", "low", "high") for model in MODELS},
    "evaluate_vae/codes": ("x", "y", "class"),
}
PICTURES = (
    *(f"metrics/{name}" for name in ("train_gan_samples", "train_vae_samples", "train_vae_reconstructions")),
    *(
        f"artifacts/evaluate_{model}/{name}"
        for model in MODELS
        for name in ("nearest", "reconstructions", "interpolations", "traversals")
    ),
)
WEIGHTS = tuple(Path("models") / f"{name}.safetensors" for name in ("classifier", *MODELS))
FILMS = ("train_gan/samples", "train_vae/samples")
AGAIN = "run `dvc repro`"


@dataclass(frozen=True)
class Results:
    """Everything that the page is made of.

    ``metrics`` are by stage; ``pictures`` (PNG bytes) by their path without suffix, ``tables`` by theirs below
    artifacts/; ``films`` hold, by their folder there, the PNG bytes of every epoch's grid; ``sweeps`` are those of
    metrics/sweeps, by name; ``weights`` are the MD5s of models/, as dvc.lock has them, by file.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    pictures: Mapping[str, bytes]
    films: Mapping[str, Mapping[int, bytes]]
    sweeps: tuple[Sweep, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)

    def number(self, stage: str, key: str) -> float:
        """The metric ``key`` of metrics/<stage>.json.

        Raises:
            UserError: there is none, or it is not a number.
        """
        return _number(self.metrics[stage], stage, key)

    def interval(self, stage: str, key: str) -> tuple[float, float] | None:
        """The ends of the metric's 95% interval in metrics/<stage>.json, None where it has none.

        Raises:
            UserError: there are no intervals at all, or this one is not two numbers.
        """
        intervals = self.metrics[stage].get("ci95")
        if not isinstance(intervals, dict):
            raise UserError(f"metrics/{stage}.json: ci95: found {intervals!r}; an object is needed; {AGAIN}")
        if key not in intervals:
            return None
        ends = intervals[key] if isinstance(intervals[key], dict) else {}
        return _number(ends, stage, "low", f"ci95.{key}."), _number(ends, stage, "high", f"ci95.{key}.")

    @property
    def classes(self) -> int:
        """How many classes the data has."""
        return int(self.number("prepare", "classes"))


def read_results(root: Path) -> Results:
    """All that stands in metrics/ and artifacts/ below ``root``.

    Raises:
        UserError: a file is missing or is not what it should be; the text names it.
    """
    artifacts = root / "artifacts"
    return Results(
        metrics={name: _metrics(root / "metrics" / f"{name}.json") for name in METRICS},
        tables={name: _table(artifacts / f"{name}.csv", columns) for name, columns in TABLES.items()},
        pictures={name: _bytes(root / f"{name}.png") for name in PICTURES},
        films={name: _film(artifacts / name) for name in FILMS},
        weights={str(path): _md5(root / path) for path in WEIGHTS},
        sweeps=tuple(read_sweep(path) for path in sorted((root / "metrics" / "sweeps").glob("*.json"))),
    )


def _number(values: Mapping[str, Any], stage: str, key: str, prefix: str = "") -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"metrics/{stage}.json: {prefix}{key}: found {value!r}; a number is needed; {AGAIN}")
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {AGAIN}") from None


def _md5(path: Path) -> str:
    return hashlib.md5(_bytes(path), usedforsecurity=False).hexdigest()


def _metrics(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(_bytes(path))
    except ValueError:
        raise UserError(f"{path}: is not JSON; {AGAIN}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: found {type(values).__name__}; an object is needed; {AGAIN}")
    return values


def _table(path: Path, columns: tuple[str, ...]) -> Table:
    try:
        rows = list(csv.DictReader(_bytes(path).decode("utf-8").splitlines()))
        table = {column: [float(row[column]) for row in rows] for column in columns}
    except KeyError as error:
        raise UserError(f"{path}: has no column {error}; {AGAIN}") from None
    except (TypeError, ValueError):
        raise UserError(f"{path}: holds something that is not a number; {AGAIN}") from None
    if not rows:
        raise UserError(f"{path}: has no rows; {AGAIN}")
    return table


def _film(folder: Path) -> Mapping[int, bytes]:
    frames = {int(path.stem.removeprefix("epoch_")): _bytes(path) for path in sorted(folder.glob("epoch_*.png"))}
    if not frames:
        raise UserError(f"{folder}: has no epoch_0001.png; {AGAIN}")
    return frames
