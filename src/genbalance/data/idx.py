"""The IDX file format of MNIST (http://yann.lecun.com/exdb/mnist): two zero bytes, a type, the sizes, the values.

All numbers are big-endian. Of a file no more is unpacked than its header says, and a byte.
"""

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import budget
from genbalance.errors import UserError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NO_MEMBER = "Not a gzipped file"  # what gzip says of bytes behind a whole member


@dataclass(frozen=True)
class Content:
    """The unpacked bytes of a file, and what to know of how it was read, a sentence each."""

    unpacked: bytes | bytearray
    notes: tuple[str, ...] = ()


def content(path: Path) -> Content:
    """Of an IDX file the header, the values that it claims, and a byte more where there is one; of any other file the
    first four bytes. Bytes behind a gzip stream are ignored, which is a note.

    Raises:
        UserError: the file cannot be read, its gzip stream is truncated or corrupt, or its header claims more than the
            budget.
    """
    found = bytearray()
    with budget.unpacked(path) as stream:
        budget.extend(found, stream, 4)
        if not _is_idx(found):
            return Content(found)
        budget.extend(found, stream, 4 * found[3])
        if len(found) < 4 + 4 * found[3]:
            return Content(found)
        size = math.prod(_shape(found)) * np.dtype(TYPES[found[2]]).itemsize
        budget.allow(size, path)
        budget.extend(found, stream, size)
        try:
            budget.extend(found, stream, 1)
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
