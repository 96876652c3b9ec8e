"""Reading files of any origin within a limit of bytes: a header or a gzip stream can claim a thousand times its size.

What a file says it holds is compared with the limit before memory is taken for it.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genbalance.runtime.errors import UserError

MAX_BYTES = 2**30
"""What a file may unpack to."""
BLOCK = 2**20  # bytes read at a time
GZIP_MAGIC = b"\x1f\x8b"


def check_size(size: int, path: Path) -> None:
    """Refuses to read ``size`` bytes of ``path`` where that is too much.

    Raises:
        UserError: they are more than MAX_BYTES.
    """
    if size > MAX_BYTES:
        raise UserError(f"{path}: found more than {MAX_BYTES:,} bytes of values; allowed: at most that, the budget")


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file as a stream, unpacked where its first bytes, not its name, say that it is gzipped.

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


def extend(content: bytearray, stream: BinaryIO, most: int) -> None:
    """Appends the next ``most`` bytes of the stream, or all that there are; memory grows with what is read, not with
    ``most``."""
    end = len(content) + most
    while len(content) < end and (block := stream.read(min(BLOCK, end - len(content)))):
        content += block


def read(path: Path) -> bytearray:
    """All bytes of a file, unpacked where it is gzipped.

    Raises:
        UserError: as `open_unpacked`, or they are more than MAX_BYTES.
    """
    content = bytearray()
    with open_unpacked(path) as stream:
        extend(content, stream, MAX_BYTES + 1)
    check_size(len(content), path)
    return content


def md5_of(path: Path) -> str:
    """The md5 of a file's bytes as they lie there, whatever their number."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
