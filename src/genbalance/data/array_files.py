"""Arrays read from files: NumPy's .npy and .npz, and safetensors. Nothing here reads a pickle, and no more is unpacked
than `reading.MAX_BYTES`, whatever a header claims. A .npy is mapped: one to train on may be of any size."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from genbalance.data.images import TYPES
from genbalance.data.reading import check_size
from genbalance.runtime.errors import UserError, in_a_line

NAMES = ("images", "samples", "arr_0")  # of the array to take where a file holds several
TRAINING = ("x_train", "train_images")  # where the file is a data set, of Keras or MedMNIST: what a model learns from
ARRAY, ARCHIVES = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")  # how NumPy's files start
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LONGEST_HEADER = 2**14  # bytes; NumPy itself refuses one of more than 10,000 letters
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a few bytes unpack to any number at once
BYTES = {"BOOL": 1} | {f"{kind}{8 * size}": size for kind in "UIF" for size in (1, 2, 4, 8) if (kind, size) != ("F", 1)}
UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError, ArithmeticError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),  # NumPy reads a header as Python reads text
)
ONLY = "arr_0"  # NumPy's name for an array without one
SHOWN = 5  # names that a message lists

Arrays = dict[str, NDArray[Any]]


def read_one(path: Path, allowed: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array of a file .npy, .npz or .safetensors to measure, and what to know of how it was chosen.

    A file holds one array, or one called images, samples or arr_0, or a data set, whose training images are taken.

    Args:
        path: the file.
        allowed: what a path may be, for the messages.

    Raises:
        UserError: another file, one that is broken or holds something else, or more than `reading.MAX_BYTES`.
    """
    check_is_file(path, allowed)
    match path.suffix.lower():
        case ".npy" | ".npz":
            with _numpy(path) as file:
                if isinstance(file, zipfile.ZipFile):
                    members = _members(file)
                    name, warnings = _chosen(path, list(members))
                    return _read(path, file, members[name]), warnings
                check_size(file.nbytes, path)
                return file, ()
        case ".safetensors":
            return _safetensors(path)
    raise UserError(f"{path}: found a file of another kind; allowed: {allowed}")


def read_all(path: Path, wanted: Sequence[str], allowed: str) -> tuple[Arrays, list[str]]:
    """The arrays of a file .npz that are ``wanted``, by name, and the names of the others, which are not read; the only
    array of a file, .npz or .npy, is called arr_0 where its name is another. That of a .npy is a part of the file, of
    any size, which is read when it is used.

    Raises:
        UserError: as `read_one`, but for the size of a .npy.
    """
    check_is_file(path, allowed)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise UserError(f"{path}: found a file of another kind; allowed: {allowed}")
    with _numpy(path) as file:
        if not isinstance(file, zipfile.ZipFile):
            return {ONLY: file}, []
        members = _members(file)
        if len(members) == 1 and not set(members) & set(wanted):
            members = {ONLY: next(iter(members.values()))}
        others = sorted(members.keys() - set(wanted))
        return {name: _read(path, file, members[name]) for name in wanted if name in members}, others


def check_is_file(path: Path, allowed: str) -> None:
    """Refuses what is no file: a pipe would be waited for.

    Raises:
        UserError: it is not there, or is something else; ``allowed`` says what it may be.
    """
    if not path.is_file():
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: {allowed}")


def listed(names: Sequence[str]) -> str:
    """The names, each in a line, the first five of them and their number where there are more."""
    return ", ".join(
        [*map(in_a_line, names[:SHOWN]), *([f"… ({len(names)})"] if len(names) > SHOWN else [])],
    )


@contextmanager
def _numpy(path: Path) -> Iterator[zipfile.ZipFile | NDArray[Any]]:
    """An archive, or the array of a file that holds one; what fails while it is open becomes an error of one line."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(ARCHIVES):
                with zipfile.ZipFile(file) as archive:
                    yield archive
            elif start != ARRAY:  # np.load would take it for a pickle
                raise UserError(f"{path}: starts with the bytes {start.hex(' ') or '(none)'}, as no NumPy file does")
            else:
                _checked_size(file, path.stat().st_size)
                yield np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        reason = in_a_line((f"{type(error).__name__}: {error}".splitlines() or [""])[0])
        raise UserError(f"{path}: cannot be read ({reason}); allowed: a whole file of numbers, no objects") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of an archive, which is unpacked only if its headers claim no more than `reading.MAX_BYTES`."""
    if not member.filename.endswith(".npy"):
        raise UserError(f"{path}: holds something that is no array; allowed: what np.savez writes")
    if member.compress_type not in PACKINGS:
        raise UserError(f"{path}: found another packing than np.savez and np.savez_compressed write; allowed: theirs")
    check_size(member.file_size, path)
    with archive.open(member) as stream:
        check_size(_checked_size(stream, member.file_size), path)
    with archive.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _checked_size(stream: IO[bytes], size: int) -> int:
    """The bytes of the array whose header comes next in ``size`` bytes.

    Raises:
        ValueError: it is cut off or not of numbers.
    """
    start = io.BytesIO(stream.read(LONGEST_HEADER))  # NumPy takes memory for as long a header as the file claims
    version = npy.read_magic(start)
    if version not in HEADERS:
        raise ValueError(f"found version {version[0]}.{version[1]} of the format")
    shape, _, dtype = HEADERS[version](start)
    if dtype.hasobject:
        raise ValueError("found objects")
    count, rest = math.prod(shape), size - start.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize > rest:
        raise ValueError(f"the header declares more values than there are in {rest} bytes")
    return count * dtype.itemsize


def _safetensors(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            name, warnings = _chosen(path, list(file.keys()))
            kind, shape = file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()
            if kind not in BYTES:  # bfloat16 and the like
                raise UserError(f"{path}: found values of type {kind}, unknown to NumPy; allowed: {TYPES}")
            check_size(math.prod(shape) * BYTES[kind], path)
            return file.get_tensor(name), warnings
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: is not a whole safetensors file ({in_a_line(str(error))}); write it again") from None


def _chosen(path: Path, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of the array to take, and a warning where it is one of a data set's."""
    chosen = list(names) if len(names) == 1 else [name for name in (*NAMES, *TRAINING) if name in names]
    if len(chosen) != 1:
        raise UserError(
            f"{path}: holds {listed(sorted(names)) or 'nothing'}; allowed: one array, or one of several called "
            f"{', '.join(NAMES)}, or a data set with {' or '.join(TRAINING)}"
        )
    (name,) = chosen
    warning = f"of the arrays {listed(sorted(names))} {name} is measured" if name in TRAINING and len(names) > 1 else ""
    return name, (warning,) * bool(warning)
