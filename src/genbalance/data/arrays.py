"""Arrays of images in memory, or, where they are many, in a temporary file that is mapped into it.

The system writes a mapped array's pages to the disk when memory is short, so that a million images need as little of it
as a thousand. Whatever touches all images does so in blocks of rows.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from genbalance.runtime.errors import UserError

BUDGET = 2**30  # bytes of an array that lies in memory
BLOCK = 2**24  # bytes of the rows that are touched at a time
ON_DISK = "/var/tmp"


def empty(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A new uint8 array of any values; one of more than BUDGET bytes is a mapped file in TMPDIR, or in /var/tmp, that
    ends with the array.

    Raises:
        UserError: the disk does not have the room.
    """
    size = math.prod(shape)
    if size <= BUDGET:
        return np.empty(shape, np.uint8)
    place = tempfile.gettempdir() if os.environ.get("TMPDIR") or not os.access(ON_DISK, os.W_OK) else ON_DISK
    if size > (free := shutil.disk_usage(place).free):  # a page that finds no room later would end the process
        raise UserError(
            f"{place}: found {free / 2**30:.1f} GiB free, but the images need {size / 2**30:.1f}; take fewer, or "
            "smaller ones, or set TMPDIR to a larger disk"
        )
    with tempfile.TemporaryFile(dir=place) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape).view(np.ndarray)


def take(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A copy of the ``rows`` [m] of ``images`` [n, …], in that order."""
    taken = empty((len(rows), *images.shape[1:]))
    for block in blocks(taken):
        taken[block] = images[rows[block]]
    return taken


def blocks(images: NDArray[np.generic]) -> Iterator[slice]:
    """The rows of ``images`` [n, …] in slices of about BLOCK bytes each, at least one row."""
    step = max(1, BLOCK // max(1, math.prod(images.shape[1:]) * images.itemsize))
    return (slice(start, min(start + step, len(images))) for start in range(0, len(images), step))
