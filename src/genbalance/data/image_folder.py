"""Image files of a folder as grey images: every file is read, refused by name, or listed as left out."""

import io
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

from genbalance.data import budget
from genbalance.errors import UserError, in_a_line

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
BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, MemoryError, ArithmeticError),
    *(struct.error, zlib.error),
)
DECODED = 4  # bytes of a pixel while a picture is decoded, at most

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageFolder:
    """Grey ``images`` uint8 [n, H, W], 0 … 255; the kind of each file; the names of files that are not images; how many
    are ``transparent``, and the level, 0 or 255, of the ``background`` that these were laid on.
    """

    images: Pixels
    kinds: tuple[str, ...]
    left_out: tuple[str, ...]
    transparent: int = 0
    background: int = 0


def read(folder: Path) -> ImageFolder:
    """The image files of ``folder`` in natural order: sample_2 before sample_10.

    Colours become grey (ITU-R 601 luma), 16 bits become 8, an EXIF orientation is applied, transparent images are laid
    on one background, black or white (see `_background`). Hidden files and folders, text, labels (.csv, .json …),
    README, LICENSE, Thumbs.db and desktop.ini are left out.

    Raises:
        UserError: no image; another file or a folder; an image that is broken, animated, of 32 bits or of another size
            than the first; more than the budget.
    """
    files, left_out, others = list[Path](), list[Path](), list[Path]()
    for entry in sorted(folder.iterdir(), key=_natural):
        if not entry.name.isprintable():
            raise UserError(f"{folder}: found the name {in_a_line(entry.name)}, ? unprintable; rename that file")
        is_image = entry.suffix.lower() in KINDS and entry.is_file()
        (left_out if _is_companion(entry) else files if is_image else others).append(entry)
    if others or not files:
        found = _counted(others or left_out) or "nothing"
        raise UserError(f"{folder}: only {SUPPORTED} are supported, in the folder itself; found {found}")
    images, opacities, held = list[Pixels](), dict[int, Pixels](), 0
    for number, file in enumerate(files):
        image, opacity = _picture(file, held)
        images.append(image)
        held += image.nbytes
        if opacity is not None:
            opacities[number] = opacity
            held += opacity.nbytes
        if image.shape != images[0].shape:
            raise UserError(
                f"{file}: found {_times(image.shape)} pixels, but {files[0].name} has {_times(images[0].shape)}; "
                "allowed: images of one size"
            )
    background = _background([(images[number], opacity) for number, opacity in opacities.items()])
    for number, opacity in opacities.items():
        images[number] = _laid_on(background, images[number], opacity)
    kinds = tuple(KINDS[file.suffix.lower()] for file in files)
    names = tuple(entry.name for entry in left_out)
    return ImageFolder(np.stack(images), kinds, names, len(opacities), background)


def listed(names: Sequence[str]) -> str:
    """The names, each in a line, the first five of them and their number where there are more."""
    return ", ".join([*map(in_a_line, names[:5]), *([f"… ({len(names)})"] if len(names) > 5 else [])])


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


def _picture(file: Path, held: int) -> tuple[Pixels, Pixels | None]:
    """Grey levels [H, W] and, where not all of the picture is opaque, its opacity [H, W]; ``held`` bytes are of those
    before it."""
    kind = KINDS[file.suffix.lower()]
    budget.allow(held + file.stat().st_size, file)
    content = io.BytesIO(file.read_bytes())  # of a file Pillow would take memory for as much as a chunk claims
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(content, formats=[kind.upper()]) as image:
                budget.allow(held + DECODED * image.width * image.height, file)
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise UserError(f"{file}: found {frames} frames; allowed: one")
                return _grey(ImageOps.exif_transpose(image), file)
    except BOMBS:
        raise UserError(f"{file}: found more than {Image.MAX_IMAGE_PIXELS:,} pixels; allowed: at most that") from None
    except BROKEN as error:
        raise UserError(f"{file}: is not a whole {kind} file ({type(error).__name__}); write it again") from None


def _grey(image: Image.Image, file: Path) -> tuple[Pixels, Pixels | None]:
    if image.mode.startswith("I;16"):  # which `convert` would clip
        return (np.asarray(image) / 257).round().astype(np.uint8), None
    if image.mode in ("I", "F"):
        raise UserError(f"{file}: found pixels of 32 bits; allowed: 8 or 16")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opacity = np.asarray(image.getchannel("A"))
        if opacity.min() < 255:
            return np.asarray(image.convert("L")), opacity
    return np.asarray(image.convert("L")), None


def _background(pictures: Sequence[tuple[Pixels, Pixels]]) -> int:
    """The level that transparent ``pictures``, grey levels and opacity, are laid on, 0 or 255, the same for all.

    The rule: the nearer to their border's mean level where the border, the outermost ring of pixels, is at least half
    opaque; else the further from the mean level of what they draw. Levels count with their opacity.
    """
    if not pictures:
        return 0
    levels, opacities = np.zeros(2), np.zeros(2)  # of the border, of all
    size = 0
    for image, opacity in pictures:
        ring = np.ones(image.shape, bool)
        ring[1:-1, 1:-1] = False
        size += int(ring.sum())
        for index, part in enumerate((ring, np.ones_like(ring))):
            weights = opacity[part].astype(np.float64)
            levels[index] += image[part] @ weights
            opacities[index] += weights.sum()
    if opacities[0] >= 255 * size / 2:
        return 255 if levels[0] >= 127.5 * opacities[0] else 0
    return 255 if opacities[1] > 0 and levels[1] < 127.5 * opacities[1] else 0


def _laid_on(background: int, image: Pixels, opacity: Pixels) -> Pixels:
    share = opacity / 255
    laid: Pixels = (image * share + background * (1 - share)).round().astype(np.uint8)
    return laid


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
