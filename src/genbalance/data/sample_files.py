"""Samples of any model as files: a folder of PNG files, a NumPy or a safetensors file.

Nothing here reads a pickle, and nothing guesses a range of values: what could be read in two ways is refused.
"""

import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genbalance.data.levels import TYPES, as_images
from genbalance.errors import UserError

NAMES = ("images", "samples", "arr_0")  # of the array to take where a file holds several
ARRAY, ARCHIVES = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")  # how NumPy's files start
LARGEST = 2**32  # bytes of an unpacked array: an archive can claim a thousand times its own size
FORMS = "a folder of PNG files, or a file .npy, .npz or .safetensors"
BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError, ArithmeticError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),  # NumPy reads a header as Python reads text
)


def read(path: Path) -> NDArray[np.uint8]:
    """Grey square images uint8 [n, S, S], 0 … 255.

    A folder's PNG files (no sub-folders; other files and hidden ones are ignored) come in natural order, sample_2
    before sample_10; colours become grey (ITU-R 601 luma), 16 bits become 8. A file holds one array, or one called
    images, samples or arr_0, of shape [n, S, S], [n, 1, S, S] or [n, S, S, 1]: integers of 0 … 255, bool (False is 0,
    True 255), or floats in [0, 1], rounded to 8 bits.

    Raises:
        UserError: anything else, in one line that names the file, what was found and what is allowed.
    """
    try:
        return as_images(_found(path), path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _found(path: Path) -> NDArray[Any]:
    if path.is_dir():
        return _pictures(path)
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: {FORMS}")
    match path.suffix.lower():
        case ".npy" | ".npz":
            return _numpy(path)
        case ".safetensors":
            return _safetensors(path)
    raise UserError(f"{path}: found a file of another kind; allowed: {FORMS}")


def _pictures(folder: Path) -> NDArray[np.uint8]:
    files = sorted((file for file in folder.iterdir() if _is_png(file)), key=_natural)
    if not files:
        kinds = sorted({"folders" if file.is_dir() else file.suffix or file.name for file in folder.iterdir()})
        raise UserError(
            f"{folder}: found no PNG file ({_listed(kinds) or 'it is empty'}); allowed: PNG files in the folder itself"
        )
    images = [_picture(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{file}: found {_times(image.shape)} pixels, but {files[0].name} has {_times(images[0].shape)}; "
                "allowed: images of one size"
            )
    return np.stack(images)


def _is_png(file: Path) -> bool:
    return file.suffix.lower() == ".png" and not file.name.startswith(".") and file.is_file()


def _natural(file: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", file.stem)  # text and digits in turn, so that like is compared with like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], file.name


def _picture(file: Path) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as image:
                if image.mode.startswith("I"):  # 16 bits, which `convert` would clip
                    return (np.asarray(image) / 257).round().astype(np.uint8)
                alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
                grey = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, *BOMBS, zlib.error) as error:
        raise UserError(f"{file}: is not a whole PNG file ({type(error).__name__}); write it again") from None
    if alpha and alpha.getextrema() != (255, 255):
        raise UserError(f"{file}: found transparent pixels; allowed: opaque ones, say on black")
    return grey


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
            f"{path}: holds {_listed(sorted(names)) or 'nothing'}; allowed: one array, or one of several called "
            "images, samples or arr_0"
        )
    return chosen[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:5], *([f"… ({len(names)})"] if len(names) > 5 else [])])


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
