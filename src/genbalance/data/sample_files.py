"""Samples of any model as files: a folder of images, a NumPy or a safetensors file.

Nothing here reads a pickle, and nothing guesses a range of values: what could be read in two ways is refused.
"""

import contextlib
import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from genbalance.data import budget, image_folder
from genbalance.data.image_folder import LOSSY, SUPPORTED, listed
from genbalance.data.levels import TYPES, as_images
from genbalance.errors import UserError, in_a_line

NAMES = ("images", "samples", "arr_0")  # of the array to take where a file holds several
TRAINING = ("x_train", "train_images")  # where the file is a data set, of Keras or MedMNIST: what a model learns from
ARRAY, ARCHIVES = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")  # how NumPy's files start
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LONGEST_HEADER = 2**14  # bytes; NumPy itself refuses one of more than 10,000 letters
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a few bytes unpack to any number at once
BYTES = {"BOOL": 1} | {f"{kind}{8 * size}": size for kind in "UIF" for size in (1, 2, 4, 8) if (kind, size) != ("F", 1)}
FORMS = f"a folder of images ({SUPPORTED}), or a file .npy, .npz or .safetensors"
UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError, ArithmeticError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),  # NumPy reads a header as Python reads text
)


@dataclass(frozen=True)
class Samples:
    """Grey square ``images`` uint8 [n, S, S], 0 … 255, and what to know of how they were read, a sentence each."""

    images: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


def read(path: Path) -> Samples:
    """The images of a file or folder; ``~`` is the home directory.

    A folder's image files are read by :func:`genbalance.data.image_folder.read`. A file holds one array, or one called
    images, samples or arr_0, or a data set, whose training images are taken: x_train or train_images. What an array may
    be is said by :func:`genbalance.data.levels.as_images`.

    Raises:
        UserError: anything else, in one line that names the file, what was found and what is allowed.
    """
    with contextlib.suppress(RuntimeError):  # of nobody's home
        path = path.expanduser()
    try:
        if path.is_dir():
            folder = image_folder.read(path)
            return Samples(as_images(folder.images, path), tuple(_warnings(folder)))
        array, warnings = _array(path)
        return Samples(as_images(array, path), warnings)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _warnings(folder: image_folder.ImageFolder) -> Iterator[str]:
    if folder.left_out:
        yield f"left out, since they are not images: {listed(folder.left_out)}"
    if folder.transparent:
        yield (
            f"{folder.transparent:,} of {len(folder.kinds):,} images are transparent: they were laid on "
            f"{'white' if folder.background else 'black'}"
        )
    lossy = [kind for kind in folder.kinds if kind in LOSSY]
    if lossy:
        kinds = " and ".join(dict.fromkeys(lossy))
        yield (
            f"{len(lossy):,} of {len(folder.kinds):,} images are {kinds}: lossy compression alone moves the distances "
            "(docs/metrics.md says by how much); write PNG"
        )


def _array(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array, and what to know of how it was chosen."""
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: {FORMS}")
    match path.suffix.lower():
        case ".npy" | ".npz":
            return _numpy(path)
        case ".safetensors":
            return _safetensors(path)
    raise UserError(f"{path}: found a file of another kind; allowed: {FORMS}")


def _numpy(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(ARCHIVES):
                with zipfile.ZipFile(file) as archive:
                    return _member(path, archive)
            if start != ARRAY:  # np.load would take it for a pickle
                raise UserError(f"{path}: starts with the bytes {start.hex(' ') or '(none)'}, as no NumPy file does")
            _check_header(file, path.stat().st_size, path)
            return np.load(path, mmap_mode="r", allow_pickle=False), ()
    except UNREADABLE as error:
        reason = in_a_line((f"{type(error).__name__}: {error}".splitlines() or [""])[0])
        raise UserError(f"{path}: cannot be read ({reason}); allowed: a whole file of numbers, no objects") from None


def _member(path: Path, archive: zipfile.ZipFile) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array of an archive, which is unpacked only if its headers tell of no more than the budget."""
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    name, warnings = _chosen(path, list(members))
    member = members[name]
    if not member.filename.endswith(".npy"):
        raise UserError(f"{path}: holds something that is no array; allowed: what np.savez writes")
    if member.compress_type not in PACKINGS:
        raise UserError(f"{path}: found another packing than np.savez and np.savez_compressed write; allowed: theirs")
    budget.allow(member.file_size, path)
    with archive.open(member) as stream:
        _check_header(stream, member.file_size, path)
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False), warnings


def _check_header(stream: IO[bytes], size: int, path: Path) -> None:
    """Whether the array whose header comes next in a stream of ``size`` bytes is whole, of numbers, and in the budget.

    Raises:
        UserError: it is more than the budget.
        ValueError: it is not as it should be.
    """
    start = io.BytesIO(stream.read(LONGEST_HEADER))  # NumPy takes memory for as long a header as it is told
    version = npy.read_magic(start)
    if version not in HEADERS:
        raise ValueError(f"found version {version[0]}.{version[1]} of the format")
    shape, _, dtype = HEADERS[version](start)
    if dtype.hasobject:
        raise ValueError("found objects")
    count, rest = math.prod(shape), size - start.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize > rest:
        raise ValueError(f"the header tells of more values than there are in {rest} bytes")
    budget.allow(count * dtype.itemsize, path)


def _safetensors(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            name, warnings = _chosen(path, list(file.keys()))
            kind, shape = file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()
            if kind not in BYTES:  # bfloat16 and the like
                raise UserError(f"{path}: found values of type {kind}, unknown to NumPy; allowed: {TYPES}")
            budget.allow(math.prod(shape) * BYTES[kind], path)
            return file.get_tensor(name), warnings
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: is not a whole safetensors file ({in_a_line(str(error))}); write it again") from None


def _chosen(path: Path, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of the array to take, and a word where it is one of a data set's."""
    chosen = list(names) if len(names) == 1 else [name for name in (*NAMES, *TRAINING) if name in names]
    if len(chosen) != 1:
        raise UserError(
            f"{path}: holds {listed(sorted(names)) or 'nothing'}; allowed: one array, or one of several called "
            f"{', '.join(NAMES)}, or a data set with {' or '.join(TRAINING)}"
        )
    (name,) = chosen
    told = f"of the arrays {listed(sorted(names))} {name} is measured" if name in TRAINING and len(names) > 1 else ""
    return name, (told,) * bool(told)
