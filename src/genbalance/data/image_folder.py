"""Image files of a folder as grey images: every file is read, refused by name, or listed as left out."""

import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genbalance.errors import UserError

KINDS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".bmp": "BMP"},
    **{".tif": "TIFF", ".tiff": "TIFF", ".gif": "GIF"},
}
"""What is read: the kind by the suffix of the file's name, in any case of letters."""

LOSSY = ("JPEG", "WebP")
SUPPORTED = ", ".join(dict.fromkeys(KINDS.values()))
COMPANIONS = (".txt", ".md", ".json", ".csv", ".tsv", ".yaml", ".yml", ".html")  # labels, notes
BY_NAME = ("readme", "license", "thumbs.db", "desktop.ini")
BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error, zlib.error, *BOMBS)


@dataclass(frozen=True)
class ImageFolder:
    """Grey ``images`` uint8 [n, H, W], 0 … 255; the kind of each file; the names of files that are not images."""

    images: NDArray[np.uint8]
    kinds: tuple[str, ...]
    left_out: tuple[str, ...]


def read(folder: Path) -> ImageFolder:
    """The image files of ``folder`` in natural order: sample_2 before sample_10.

    Colours become grey (ITU-R 601 luma), 16 bits become 8, an EXIF orientation is applied. Hidden files and folders,
    text, labels (.csv, .json …), README, LICENSE, Thumbs.db and desktop.ini are left out.

    Raises:
        UserError: no image; another file or a folder; an image that is broken, transparent, animated, of 32 bits or of
            another size than the first.
    """
    entries = sorted(folder.iterdir(), key=_natural)
    left_out = [entry for entry in entries if _is_companion(entry)]
    files = [entry for entry in entries if entry not in left_out and entry.suffix.lower() in KINDS and entry.is_file()]
    others = [entry for entry in entries if entry not in left_out and entry not in files]
    if others or not files:
        found = _counted(others or left_out) or "nothing"
        raise UserError(f"{folder}: only {SUPPORTED} are supported, in the folder itself; found {found}")
    images = [_picture(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{file}: found {_times(image.shape)} pixels, but {files[0].name} has {_times(images[0].shape)}; "
                "allowed: images of one size"
            )
    kinds = tuple(KINDS[file.suffix.lower()] for file in files)
    return ImageFolder(np.stack(images), kinds, tuple(entry.name for entry in left_out))


def listed(names: Sequence[str]) -> str:
    """The names, the first five of them and their number where there are more."""
    return ", ".join([*names[:5], *([f"… ({len(names)})"] if len(names) > 5 else [])])


def _is_companion(entry: Path) -> bool:
    name = entry.name.lower()
    if name.startswith("."):
        return True
    return entry.is_file() and (entry.suffix.lower() in COMPANIONS or name in BY_NAME)


def _counted(entries: Iterable[Path]) -> str:
    """How many of which suffix, with the name of the first of each."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault("folder" if entry.is_dir() else entry.suffix or "file", []).append(entry.name)
    return listed([f"{len(names)} {kind} ({names[0]}{', …' * (len(names) > 1)})" for kind, names in kinds.items()])


def _natural(file: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", file.stem)  # text and digits in turn, so that like is compared with like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], file.name


def _picture(file: Path) -> NDArray[np.uint8]:
    kind = KINDS[file.suffix.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=[kind.upper()]) as image:
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise UserError(f"{file}: found {frames} frames; allowed: one")
                return _grey(ImageOps.exif_transpose(image), file)
    except BROKEN as error:
        raise UserError(f"{file}: is not a whole {kind} file ({type(error).__name__}); write it again") from None


def _grey(image: Image.Image, file: Path) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):  # which `convert` would clip
        return (np.asarray(image) / 257).round().astype(np.uint8)
    if image.mode in ("I", "F"):
        raise UserError(f"{file}: found pixels of 32 bits; allowed: 8 or 16")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise UserError(f"{file}: found transparent pixels; allowed: opaque ones, say on black")
    return np.asarray(image.convert("L"))


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
