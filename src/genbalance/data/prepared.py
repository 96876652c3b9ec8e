"""The prepared digits: what `prepare` writes and every other stage reads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from genbalance.params import Count, Section, Side, first_problem
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.io import read_json, whole_folder, write_json

TENSORS = "digits.safetensors"
STATS = "stats.json"
PARTS = ("train", "val", "test")


class _Stats(Section):
    """What stats.json holds."""

    source: str
    title: str
    classes: Count
    height: Side
    width: Side
    mean: Annotated[float, Field(ge=0, le=1)]
    std: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Split:
    """Images uint8 [n, height, width] and their labels int64 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prepared:
    """Three disjoint splits; labels are 0 … classes-1; mean and std are of the training pixels in [0, 1]."""

    train: Split
    val: Split
    test: Split
    source: str
    title: str
    classes: int
    mean: float
    std: float

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.train.images.shape[1])

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.train.images.shape[2])

    @property
    def profile(self) -> dict[str, float]:
        """How many images a split has, and what they are like."""
        counts = {part: len(getattr(self, part)) for part in PARTS}
        return counts | {key: getattr(self, key) for key in ("classes", "height", "width", "mean", "std")}


def save(prepared: Prepared, folder: Path) -> None:
    """Writes digits.safetensors and stats.json into ``folder``, whole or not at all, the same bytes every time."""
    from safetensors.numpy import save_file

    tensors: dict[str, NDArray[np.generic]] = {}
    for part in PARTS:
        split: Split = getattr(prepared, part)
        tensors[f"{part}_images"] = np.ascontiguousarray(split.images)
        tensors[f"{part}_labels"] = np.ascontiguousarray(split.labels)
    stats = {key: getattr(prepared, key) for key in ("source", "title", "classes", "height", "width", "mean", "std")}
    with whole_folder(folder) as whole:
        save_file(tensors, whole / TENSORS)
        write_json(whole / STATS, stats)


def digest(folder: Path) -> str:
    """The md5 of the stored images and labels."""
    return hashlib.md5((folder / TENSORS).read_bytes(), usedforsecurity=False).hexdigest()


def load(folder: Path) -> Prepared:
    """What `save` wrote.

    Raises:
        UserError: it is not there, or is not what `save` writes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stats = _Stats.model_validate(read_json(folder / STATS))
        tensors = load_file(folder / TENSORS)
        train, val, test = (Split(tensors[f"{part}_images"], tensors[f"{part}_labels"]) for part in PARTS)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder}: not there; run `dvc repro prepare`") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{STATS}: {first_problem(error)}" if isinstance(error, ValidationError) else in_a_line(str(error))
        raise UserError(f"{folder}: is not what prepare writes ({reason}); run `dvc repro -f prepare`") from None
    for split in (train, val, test):
        types = (split.images.dtype.name, split.labels.dtype.name)
        if (
            types != ("uint8", "int64")
            or split.labels.ndim != 1
            or split.images.shape != (len(split), stats.height, stats.width)
        ):
            raise UserError(f"{folder}: {TENSORS} and {STATS} differ in size or type; run `dvc repro -f prepare`")
        if len(split) and not 0 <= split.labels.min() <= split.labels.max() < stats.classes:
            raise UserError(f"{folder}: found labels outside of 0 … {stats.classes - 1}; run `dvc repro -f prepare`")
    return Prepared(train, val, test, **stats.model_dump(exclude={"height", "width"}))
