"""Samples of any model as files: a folder of images, a NumPy or a safetensors file.

Nothing here reads a pickle, and nothing guesses a range of values: what could be read in two ways is refused.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import image_folder
from genbalance.data.image_folder import LOSSY, SUPPORTED, listed
from genbalance.data.levels import TYPES, as_images
from genbalance.errors import UserError

NAMES = ("images", "samples", "arr_0")  # of the array to take where a file holds several
ARRAY, ARCHIVES = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")  # how NumPy's files start
LARGEST = 2**32  # bytes of an unpacked array: an archive can claim a thousand times its own size
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
    """The images of a file or folder.

    A folder's image files are read by :func:`genbalance.data.image_folder.read`. A file holds one array, or one called
    images, samples or arr_0, of shape [n, S, S], [n, 1, S, S] or [n, S, S, 1]: integers of 0 … 255, bool (False is 0,
    True 255), or floats in [0, 1], rounded to 8 bits.

    Raises:
        UserError: anything else, in one line that names the file, what was found and what is allowed.
    """
    try:
        if path.is_dir():
            folder = image_folder.read(path)
            return Samples(as_images(folder.images, path), tuple(_warnings(folder)))
        return Samples(as_images(_array(path), path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _warnings(folder: image_folder.ImageFolder) -> Iterator[str]:
    if folder.left_out:
        yield f"left out, since they are not images: {listed(folder.left_out)}"
    lossy = [kind for kind in folder.kinds if kind in LOSSY]
    if lossy:
        kinds = " and ".join(dict.fromkeys(lossy))
        yield (
            f"{len(lossy):,} of {len(folder.kinds):,} images are {kinds}: lossy compression alone moves the distances "
            "(docs/metrics.md says by how much); write PNG"
        )


def _array(path: Path) -> NDArray[Any]:
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: {FORMS}")
    match path.suffix.lower():
        case ".npy" | ".npz":
            return _numpy(path)
        case ".safetensors":
            return _safetensors(path)
    raise UserError(f"{path}: found a file of another kind; allowed: {FORMS}")


def _numpy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file, np.errstate(over="raise"):  # of a shape beyond all numbers
            start = file.read(6)
            file.seek(0)
            if start.startswith(ARCHIVES):
                with np.load(file, allow_pickle=False) as archive:
                    name = _chosen(path, archive.files)
                    size = max(i.file_size for i in archive.zip.infolist() if i.filename in (name, f"{name}.npy"))
                    if size > LARGEST:
                        raise UserError(f"{path}: unpacks to {size:,} bytes; allowed: {LARGEST:,}, or a file .npy")
                    found = archive[name]
            elif start == ARRAY:
                found = np.load(path, mmap_mode="r", allow_pickle=False)
            else:  # np.load would take it for a pickle
                raise UserError(f"{path}: starts with the bytes {start.hex(' ') or '(none)'}, as no NumPy file does")
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:150]
        raise UserError(f"{path}: cannot be read ({reason}); allowed: a whole file of numbers, no objects") from None
    if not isinstance(found, np.ndarray):  # any other file in the archive
        raise UserError(f"{path}: holds something that is no array; allowed: what np.savez writes")
    return found


def _safetensors(path: Path) -> NDArray[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            name = _chosen(path, list(file.keys()))
            try:
                array: NDArray[Any] = file.get_tensor(name)
            except (TypeError, AttributeError):  # bfloat16 and the like
                kind = file.get_slice(name).get_dtype()
                raise UserError(f"{path}: found values of type {kind}, unknown to NumPy; allowed: {TYPES}") from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: is not a whole safetensors file ({error}); write it again") from None
    return array


def _chosen(path: Path, names: Sequence[str]) -> str:
    chosen = list(names) if len(names) == 1 else [name for name in NAMES if name in names]
    if len(chosen) != 1:
        raise UserError(
            f"{path}: holds {listed(sorted(names)) or 'nothing'}; allowed: one array, or one of several called "
            "images, samples or arr_0"
        )
    return chosen[0]
