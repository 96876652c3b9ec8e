"""The prepared images: what `prepare` writes and every other stage reads."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from genbalance.params import Count, Section, Side, first_problem
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.io import read_json, whole_folder, write_json

TENSORS = "images.safetensors"
STATS = "stats.json"
PARTS = ("train", "val", "test")
TYPES = {"uint8": "U8", "int64": "I64"}  # as safetensors names them
BLOCK = 2**24  # bytes at a time


class _Stats(Section):
    """What stats.json holds."""

    source: str
    title: str
    classes: Count
    class_names: list[str]
    factor_names: list[str]
    stacked: bool
    channels: Literal[1, 3]
    height: Side
    width: Side
    mean: Annotated[float, Field(ge=0, le=1)]
    std: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Split:
    """Images uint8, [n, height, width] grey or [n, height, width, 3] colour; their labels int64 [n], all 0 where there
    are none; and of images that were drawn from known factors their values int64 [n, factors]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prepared:
    """Three disjoint splits.

    Attributes:
        train: to train on.
        val: held out of it.
        test: to measure on.
        source: `data.source`.
        title: of the data, for people.
        classes: labels are 0 … classes-1; 0: the images have no labels.
        mean: of the training pixels, in [0, 1].
        std: of the training pixels, in [0, 1].
        class_names: of each class, or none: a class is called by its number.
        factor_names: of the splits' factors, or none.
        stacked: whether each of three channels is an image of its own, of the class that is its digit of the label:
            label = 100·first + 10·second + third.
    """

    train: Split
    val: Split
    test: Split
    source: str
    title: str
    classes: int
    mean: float
    std: float
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    stacked: bool = False

    @property
    def channels(self) -> int:
        """1: grey, 3: colour."""
        return self.shape[0]

    @property
    def shape(self) -> list[int]:
        """[channels, height, width] of an image, as networks see it."""
        return shape_of(self.train.images)

    @property
    def has_classes(self) -> bool:
        """Whether there is something to tell apart: at least two classes."""
        return self.classes > 1

    def class_name(self, label: int) -> str:
        """What a class is called."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def height(self) -> int:
        """Pixels."""
        return self.shape[1]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.shape[2]

    @property
    def profile(self) -> dict[str, float]:
        """How many images a split has, and what they are like."""
        counts = {part: len(getattr(self, part)) for part in PARTS}
        return counts | {key: getattr(self, key) for key in ("classes", "channels", "height", "width", "mean", "std")}


def shape_of(images: NDArray[np.uint8]) -> list[int]:
    """[channels, height, width] of images [n, H, W] or [n, H, W, 3]."""
    _, height, width, *channels = images.shape
    return [channels[0] if channels else 1, height, width]


def in_words(shape: Sequence[int]) -> str:
    """The shape [channels, height, width] of an image: 28 × 28 grey pixels."""
    channels, height, width = shape
    return f"{height} × {width} {'colour' if channels > 1 else 'grey'} pixels"


def save(prepared: Prepared, folder: Path) -> None:
    """Writes images.safetensors and stats.json into ``folder``, whole or not at all, the same bytes every time."""
    tensors: dict[str, NDArray[np.generic]] = {}
    for part in PARTS:
        split: Split = getattr(prepared, part)
        tensors[f"{part}_images"] = split.images
        tensors[f"{part}_labels"] = split.labels
        if split.factors is not None:
            tensors[f"{part}_factors"] = split.factors
    stats = {key: getattr(prepared, key) for key in _Stats.model_fields}
    with whole_folder(folder) as whole:
        _save_tensors(tensors, whole / TENSORS)
        write_json(whole / STATS, stats)


def _save_tensors(tensors: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    """The bytes that safetensors writes, block by block: it would take all of them into memory at once."""
    header: dict[str, dict[str, Any]] = {}
    end = 0
    in_order = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    for name, tensor in in_order:
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": TYPES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in in_order:
            rows = max(1, BLOCK // max(1, tensor.nbytes // max(1, len(tensor))))
            for first in range(0, len(tensor), rows):
                file.write(np.ascontiguousarray(tensor[first : first + rows]).data)


def _load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors, as parts of the file that are read when they are used."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:  # refuses a file that is not whole
        dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a dict)
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
    names = {stored: name for name, stored in TYPES.items()}
    return {
        name: np.asarray(
            np.memmap(path, names[dtype], "c", start + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
        )
        for name, dtype in dtypes.items()
    }


def digest(folder: Path) -> str:
    """The md5 of the stored images and labels."""
    with (folder / TENSORS).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def load(folder: Path) -> Prepared:
    """What `save` wrote. The arrays are parts of the file, which are read when they are used.

    Raises:
        UserError: it is not there, or is not what `save` writes.
    """
    from safetensors import SafetensorError

    try:
        stats = _Stats.model_validate(read_json(folder / STATS))
        tensors = _load_tensors(folder / TENSORS)
        train, val, test = (
            Split(tensors[f"{part}_images"], tensors[f"{part}_labels"], tensors.get(f"{part}_factors"))
            for part in PARTS
        )
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder}: not there; run `dvc repro prepare`") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{STATS}: {first_problem(error)}" if isinstance(error, ValidationError) else in_a_line(str(error))
        raise UserError(f"{folder}: is not what prepare writes ({reason}); run `dvc repro -f prepare`") from None
    size = (stats.height, stats.width) + (3,) * (stats.channels == 3)
    factors = (len(stats.factor_names),) * (len(stats.factor_names) > 0)
    for split in (train, val, test):
        types = (split.images.dtype.name, split.labels.dtype.name)
        if (
            types != ("uint8", "int64")
            or split.labels.ndim != 1
            or split.images.shape != (len(split), *size)
            or (() if split.factors is None else split.factors.shape[1:]) != factors
        ):
            raise UserError(f"{folder}: {TENSORS} and {STATS} differ in size or type; run `dvc repro -f prepare`")
        if len(split) and not 0 <= split.labels.min() <= split.labels.max() < max(stats.classes, 1):
            raise UserError(f"{folder}: found labels outside of 0 … {stats.classes - 1}; run `dvc repro -f prepare`")
    return Prepared(
        train,
        val,
        test,
        stats.source,
        stats.title,
        stats.classes,
        stats.mean,
        stats.std,
        tuple(stats.class_names),
        tuple(stats.factor_names),
        stats.stacked,
    )
