"""IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist), and the four of which a data set consists.

A file is two zero bytes, a type, the number of dimensions, the sizes and the values; all numbers are big-endian. No
more of it is unpacked than its header says, and a byte.
"""

import contextlib
import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.reading import check_size, extend, open_unpacked
from genbalance.runtime.errors import UserError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NO_MEMBER = "Not a gzipped file"  # what gzip says of bytes behind a whole member

ROLES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
"""The names of MNIST's files."""

EMNIST = "emnist-"
"""How the names of EMNIST's files begin, whose images are stored column by column."""


@dataclass(frozen=True)
class Content:
    """The unpacked bytes of a file, and what to know of how it was read, a sentence each."""

    unpacked: bytes | bytearray
    notes: tuple[str, ...] = ()


def find(folder: Path, name: str) -> Path | None:
    """The file ``name``, perhaps with .gz, perhaps spelt with a dot (train-images.idx3-ubyte); gzipped ones first."""
    names = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{spelt}{ending}" for ending in (".gz", "") for spelt in names]
    return next((path for path in candidates if path.is_file()), None)


def find_all(given: str) -> dict[str, Path]:
    """The four files of the folder ``given`` by role; ``~`` is the home directory.

    Beside the names of MNIST those of EMNIST are known, such as emnist-digits-train-images-idx3-ubyte.

    Raises:
        UserError: no such folder, the files of several data sets, or some are missing: the text lists them.
    """
    folder = Path(given)
    with contextlib.suppress(RuntimeError):  # of nobody's home
        folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"data.path: found {given!r}, which is not a folder; put the four IDX files into one")
    sets = [""] * any(find(folder, name) for name in ROLES.values())
    sets += sorted({path.name.split("-")[1] for path in folder.glob(f"{EMNIST}*-ubyte*") if path.name.count("-") > 1})
    if len(sets) > 1:
        listed = ", ".join(f"{EMNIST}{name}-…" if name else "train-…" for name in sets)
        raise UserError(f"{folder}: found the files of several data sets, {listed}; leave those of one")
    names = {role: _of_emnist(name, sets[0]) for role, name in ROLES.items()} if any(sets) else ROLES
    paths = {role: find(folder, name) for role, name in names.items()}
    missing = [names[role] for role, path in paths.items() if path is None]
    if missing:
        raise UserError(f"{folder}: {', '.join(missing)} not there; add what is missing (gzipped, .gz, is fine too)")
    return {role: path for role, path in paths.items() if path is not None}


def _of_emnist(name: str, chosen: str) -> str:
    return f"{EMNIST}{chosen}-{name.replace('t10k', 'test')}"


def content(path: Path) -> Content:
    """Of an IDX file the header, the values that it claims, and a byte more where there is one; of any other file the
    first four bytes. Bytes behind a gzip stream are ignored, which is a note.

    Raises:
        UserError: the file cannot be read, its gzip stream is truncated or corrupt, or its header claims more than
            `reading.MAX_BYTES`.
    """
    found = bytearray()
    with open_unpacked(path) as stream:
        extend(found, stream, 4)
        if not _is_idx(found):
            return Content(found)
        extend(found, stream, 4 * found[3])
        if len(found) < 4 + 4 * found[3]:
            return Content(found)
        size = math.prod(_shape(found)) * np.dtype(TYPES[found[2]]).itemsize
        check_size(size, path)
        extend(found, stream, size)
        try:
            extend(found, stream, 1)
        except gzip.BadGzipFile as error:
            if not str(error).startswith(NO_MEMBER):
                raise
            return Content(found, (f"{path}: found bytes behind the gzip stream; they are ignored",))
    return Content(found)


def _is_idx(found: bytes | bytearray) -> bool:
    return len(found) >= 4 and found[:2] == b"\0\0" and found[2] in TYPES


def _shape(found: bytes | bytearray) -> tuple[int, ...]:
    return struct.unpack(f">{found[3]}I", found[4 : 4 + 4 * found[3]])


def parse(found: bytes | bytearray, path: Path, dims: int) -> NDArray[Any]:
    """The array in the unpacked bytes of an IDX file.

    Args:
        found: what `content` returned.
        path: the file's name, for the messages.
        dims: how many dimensions the array must have: 3 for images, 1 for labels.

    Returns:
        Integers or floats of the machine's byte order.

    Raises:
        UserError: a wrong magic number, more or fewer bytes than the header says.
    """
    magic = found[:4]
    if not _is_idx(magic):
        raise UserError(
            f"{path}: starts with the bytes {magic.hex(' ') or '(none)'}; an IDX file of {dims} dimensions of uint8 "
            f"starts with 00 00 08 0{dims}"
        )
    if magic[3] != dims:
        raise UserError(f"{path}: found {magic[3]} dimensions (magic number {magic.hex(' ')}); {dims} are needed")
    start = 4 + 4 * dims
    if len(found) < start:
        raise UserError(f"{path}: truncated: found {len(found)} bytes, fewer than its header of {start}; copy it again")
    shape, dtype = _shape(found), np.dtype(TYPES[magic[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(found) != expected:
        what = f"truncated: found {len(found)}" if len(found) < expected else "too long: found more"
        raise UserError(
            f"{path}: {what} bytes, but its header of {' × '.join(map(str, shape))} values needs {expected}; "
            "copy it again"
        )
    return np.frombuffer(found, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
