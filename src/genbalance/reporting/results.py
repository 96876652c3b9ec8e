"""What the stages before the report wrote, read once: metrics, tables and pictures."""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbalance.families.registry import ENCODER, Family
from genbalance.families.registry import family as family_of
from genbalance.reporting.front import Front, read_front
from genbalance.reporting.sweep import Sweep, read_sweep
from genbalance.runtime.errors import UserError

Table = Mapping[str, list[float]]
"""A CSV file by its columns."""

AGAIN = "run `dvc repro`"


@dataclass(frozen=True)
class Files:
    """What the stages before the report write and the report reads.

    Attributes:
        metrics: names of JSON files in metrics/.
        tables: names of CSV files below artifacts/, without suffix, with the columns that are read.
        adapted: by the same names, columns that are read where they are there.
        pictures: paths of PNG files, without suffix.
        optional: likewise, of pictures that some architectures alone have.
        films: folders below artifacts/ with a grid for each epoch.
        weights: in models/.
    """

    metrics: tuple[str, ...]
    tables: Mapping[str, tuple[str, ...]]
    adapted: Mapping[str, tuple[str, ...]]
    pictures: tuple[str, ...]
    optional: tuple[str, ...]
    films: tuple[str, ...]
    weights: tuple[Path, ...]


def files(families: Sequence[Family]) -> Files:
    """The files of these families, beside those of the data and of the reference classifier."""
    names = [family.name for family in families]
    tables = {
        "train_classifier/curves": ("epoch", "train_loss", "val_loss", "val_accuracy"),
        "train_classifier/confusion": ("actual", "predicted"),
    }
    for family in families:
        panels = [panel for chart in family.charts for panel in chart.panels]
        columns = (line.column for panel in panels for line in panel.lines if not panel.adapted)
        tables |= {
            f"train_{family.name}/curves": ("epoch", *dict.fromkeys(columns)),
            f"evaluate_{family.name}/classes": (
                *("class", "generated", "generated_low", "generated_high"),
                *("real", "n", "fd", "fd_low", "fd_high", "fd_floor"),
            ),
            f"evaluate_{family.name}/interpolations": ("from", "to"),
            f"evaluate_{family.name}/traversals": ("latent", "class", "low", "high"),
        }
        if ENCODER in family.parts:
            tables[f"train_{family.name}/kl_per_latent"] = ("latent", "kl")
            tables[f"evaluate_{family.name}/codes"] = ("x", "y", "class")
    stages = ("prepare", "train_classifier", *(f"{verb}_{name}" for verb in ("train", "evaluate") for name in names))
    rows = ("nearest", "reconstructions", "interpolations", "traversals")
    return Files(
        metrics=stages,
        tables=tables,
        adapted={
            f"train_{family.name}/curves": tuple(
                line.column for chart in family.charts for it in chart.panels if it.adapted for line in it.lines
            )
            for family in families
        },
        pictures=(
            *(f"metrics/train_{family.name}_{grid}" for family in families for grid in family.grids),
            *(f"artifacts/evaluate_{name}/{row}" for name in names for row in rows),
        ),
        optional=tuple(f"artifacts/evaluate_{name}/style_mixing" for name in names),
        films=tuple(f"train_{name}/samples" for name in names),
        weights=tuple(Path("models") / f"{name}.safetensors" for name in ("classifier", *names)),
    )


@dataclass(frozen=True)
class Results:
    """Everything that the page is made of.

    ``metrics`` are by stage; ``pictures`` (PNG bytes) by their path without suffix, ``tables`` by theirs below
    artifacts/; ``films`` hold, by their folder there, the PNG bytes of every epoch's grid; ``sweeps`` and ``fronts``
    are those of metrics/sweeps, by name; ``weights`` are the MD5s of models/, as dvc.lock has them, by file;
    ``families`` are those of the run.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    pictures: Mapping[str, bytes]
    films: Mapping[str, Mapping[int, bytes]]
    sweeps: tuple[Sweep, ...] = ()
    fronts: tuple[Front, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    families: tuple[Family, ...] = ()

    def having(self, *parts: str) -> list[Family]:
        """The run's families with these parts."""
        return [family for family in self.families if family.parts.issuperset(parts)]

    def latents(self, family: Family) -> int:
        """How many latents the family's encoder has; of nvae not the ones that `params.yaml` asks for."""
        return len(self.tables[f"train_{family.name}/kl_per_latent"]["kl"])

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
    def codes(self) -> dict[str, int]:
        """How many codes of test images there are, by family."""
        return {family.name: len(self.tables[f"evaluate_{family.name}/codes"]["x"]) for family in self.having(ENCODER)}

    @property
    def classes(self) -> int:
        """How many classes the data has; 0: no labels."""
        return int(self.number("prepare", "classes"))

    @property
    def has_classes(self) -> bool:
        """Whether anything is measured by class: there are two of them or more."""
        return self.classes > 1

    def class_name(self, label: float) -> str:
        """What a class is called."""
        names = self.metrics["prepare"].get("class_names", {})
        return str(names.get(str(int(label)), int(label)))


def read_results(root: Path, names: Iterable[str]) -> Results:
    """All that stands in metrics/ and artifacts/ below ``root`` of the families of these ``names``.

    Raises:
        UserError: a file is missing or is not what it should be; the text names it.
    """
    families = tuple(map(family_of, names))
    wanted = files(families)
    artifacts = root / "artifacts"
    metrics = {name: _metrics(root / "metrics" / f"{name}.json") for name in wanted.metrics}
    of_classes = () if _number(metrics["prepare"], "prepare", "classes") > 1 else ("classes",)  # have no rows
    found = [name for name in wanted.optional if (root / f"{name}.png").exists()]
    curves = {
        f"evaluate_{family.name}/curve": folder / "curve.csv"
        for family in families
        if (folder := artifacts / f"evaluate_{family.name}").joinpath("curve.csv").exists()
    }
    found += [
        path.relative_to(root).with_suffix("").as_posix()
        for table in curves.values()
        for path in sorted(table.with_suffix("").glob("*.png"))
    ]
    kept = sorted((root / "metrics" / "sweeps").glob("*.json"))
    fronts = {path: front for path in kept if (front := read_front(path))}
    return Results(
        metrics=metrics,
        tables={
            name: _table(
                artifacts / f"{name}.csv", columns, wanted.adapted.get(name, ()), empty=name.endswith(of_classes)
            )
            for name, columns in wanted.tables.items()
        }
        | {name: _table(path, _columns(path)) for name, path in curves.items()},
        pictures={name: _bytes(root / f"{name}.png") for name in (*wanted.pictures, *found)},
        films={name: _film(artifacts / name) for name in wanted.films},
        weights={str(path): _md5(root / path) for path in wanted.weights},
        sweeps=tuple(read_sweep(path) for path in kept if path not in fronts),
        fronts=tuple(fronts.values()),
        families=families,
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


def _table(path: Path, columns: tuple[str, ...], adapted: tuple[str, ...] = (), empty: bool = False) -> Table:
    try:
        rows = list(csv.DictReader(_bytes(path).decode("utf-8").splitlines()))
        columns += tuple(column for column in adapted if rows and column in rows[0])
        table = {column: [float(row[column]) for row in rows] for column in columns}
    except KeyError as error:
        raise UserError(f"{path}: has no column {error}; {AGAIN}") from None
    except (TypeError, ValueError):
        raise UserError(f"{path}: holds something that is not a number; {AGAIN}") from None
    if not rows and not empty:
        raise UserError(f"{path}: has no rows; {AGAIN}")
    return table


def _columns(path: Path) -> tuple[str, ...]:
    first, *_ = _bytes(path).decode("utf-8", "replace").splitlines() or [""]
    return tuple(first.split(","))


def _film(folder: Path) -> Mapping[int, bytes]:
    frames = {int(path.stem.removeprefix("epoch_")): _bytes(path) for path in sorted(folder.glob("epoch_*.png"))}
    if not frames:
        raise UserError(f"{folder}: has no epoch_0001.png; {AGAIN}")
    return frames
