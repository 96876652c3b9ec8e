"""The IDX file format of MNIST (http://yann.lecun.com/exdb/mnist): two zero bytes, a type, the sizes, the values.

All numbers are big-endian. Whether a file is gzipped is decided by its first bytes, not by its name.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
LARGEST = 2**32
"""Bytes of an unpacked file: a gzip file can claim a thousand times its own size."""
BLOCK = 2**20
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4"}
NOT_TAKEN = {0x0D: "float32", 0x0E: "float64"}


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked where they are gzipped.

    Raises:
        UserError: the file cannot be read, its gzip stream is truncated or corrupt, or it is larger than LARGEST.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise _too_large(path)
        found = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not found.startswith(GZIP_MAGIC):
        return found
    try:
        return _unpacked(found, path)
    except EOFError:
        raise UserError(f"{path}: the gzip file ends after {len(found)} bytes, too early; copy it again") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: found a corrupt gzip file ({error}); copy it again") from None


def _unpacked(packed: bytes, path: Path) -> bytes:
    content = bytearray()
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while block := file.read(BLOCK):
            content += block
            if len(content) > LARGEST:
                raise _too_large(path)
    return bytes(content)


def _too_large(path: Path) -> UserError:
    return UserError(f"{path}: found more than {LARGEST:,} bytes; allowed: an unpacked file of at most that")


def parse(found: bytes, path: Path, dims: int) -> NDArray[Any]:
    """The array in the unpacked bytes of an IDX file.

    Args:
        found: what `content` returned.
        path: the file's name, for the messages.
        dims: how many dimensions the array must have: 3 for images, 1 for labels.

    Returns:
        uint8, or another integer type of the machine's byte order.

    Raises:
        UserError: a wrong magic number, a type that is not an integer, more or fewer bytes than the header says.
    """
    magic = found[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES | NOT_TAKEN:
        raise UserError(
            f"{path}: starts with the bytes {magic.hex(' ') or '(none)'}; an IDX file of {dims} dimensions of uint8 "
            f"starts with 00 00 08 0{dims}"
        )
    if magic[2] in NOT_TAKEN:
        raise UserError(f"{path}: found values of type {NOT_TAKEN[magic[2]]}; allowed: integers (uint8 for images)")
    if magic[3] != dims:
        raise UserError(f"{path}: found {magic[3]} dimensions (magic number {magic.hex(' ')}); {dims} are needed")
    start = 4 + 4 * dims
    if len(found) < start:
        raise UserError(f"{path}: truncated: found {len(found)} bytes, fewer than its header of {start}; copy it again")
    shape = struct.unpack(f">{dims}I", found[4:start])
    dtype = np.dtype(TYPES[magic[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(found) != expected:
        raise UserError(
            f"{path}: {'truncated' if len(found) < expected else 'too long'}: found {len(found)} bytes, but its header "
            f"of {' × '.join(map(str, shape))} values needs {expected}; copy it again"
        )
    return np.frombuffer(found, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
