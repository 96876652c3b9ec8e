"""One budget of bytes for all that is read: what a file says it holds is held against it before memory is taken."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genbalance.errors import UserError

LARGEST = 2**30
"""Bytes that a file, or all images of a folder, may unpack to: a compressed one can claim a thousand times its size."""
BLOCK = 2**20
GZIP_MAGIC = b"\x1f\x8b"


def allow(size: int, path: Path) -> None:
    """Lets ``size`` bytes of ``path`` be read.

    Raises:
        UserError: they are more than LARGEST.
    """
    if size > LARGEST:
        raise UserError(f"{path}: found more than {LARGEST:,} bytes of values; allowed: at most that, the budget")


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file as a stream, unpacked where it is gzipped, which its first bytes decide and not its name.

    Raises:
        UserError: it cannot be read, or while it is read its gzip stream proves truncated or corrupt.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(GZIP_MAGIC))
            file.seek(0)
            if start != GZIP_MAGIC:
                yield file
            else:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield stream  # type: ignore[misc]
    except EOFError:
        raise UserError(f"{path}: the gzip file ends too early; copy it again") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: found a corrupt gzip file ({error}); copy it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def extend(found: bytearray, stream: BinaryIO, most: int) -> None:
    """Appends the next ``most`` bytes, or all that there are; memory grows with what comes, not with ``most``."""
    end = len(found) + most
    while len(found) < end and (block := stream.read(min(BLOCK, end - len(found)))):
        found += block


def read(path: Path) -> bytearray:
    """All bytes of a file, unpacked where it is gzipped.

    Raises:
        UserError: as `unpacked` does, or they are more than LARGEST.
    """
    found = bytearray()
    with unpacked(path) as stream:
        extend(found, stream, LARGEST + 1)
    allow(len(found), path)
    return found
