"""Pictures read from files, grey or in colour, and images of any model in a folder or an array file.

Of a folder every file is read, refused by name, or listed as left out. Pictures are decoded one after another; of all
of them the bytes alone are kept, in `genbalance.data.arrays`.
"""

import contextlib
import hashlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from genbalance.data import array_files, arrays
from genbalance.data.array_files import listed
from genbalance.data.downloads import md5
from genbalance.data.images import Channels, Pixels, Size, as_images, check_levels, check_sides, conform, fitted, sides
from genbalance.data.reading import check_size
from genbalance.runtime.errors import UserError, in_a_line

KINDS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".bmp": "BMP"},
    **{".tif": "TIFF", ".tiff": "TIFF", ".gif": "GIF"},
}
"""What is read: the kind by the suffix of the file's name, in any case of letters."""

LOSSY = ("JPEG", "WebP")
SUPPORTED = ", ".join(dict.fromkeys(KINDS.values()))
ONLY_THESE = f"only {SUPPORTED} are supported"
COMPANIONS = (".txt", ".md", ".json", ".csv", ".tsv", ".yaml", ".yml", ".html")  # labels, notes
BY_NAME = ("readme", "license", "thumbs.db", "desktop.ini")
OF_ARCHIVES = "__macosx"  # a folder that macOS adds to its archives
BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, MemoryError, ArithmeticError),
    *(struct.error, zlib.error),
)
DEEPEST = 2  # folders in one another: train, and a class in it
DECODED = 4  # bytes of a pixel while a picture is decoded, at most
GREY, COLOURS = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes that are read, beside those of 16 bits."""

FORMS = f"a folder of images ({SUPPORTED}), or a file .npy, .npz or .safetensors"


@dataclass(frozen=True)
class Samples:
    """``images`` uint8 [n, H, W] or [n, H, W, 3], 0 … 255, and what to know of how they were read, a sentence each."""

    images: Pixels
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What is in a folder, each in natural order: its image files, its folders, and what is ``left_out``: hidden files
    and folders, texts, labels (.csv, .json …), README, LICENSE, Thumbs.db and desktop.ini."""

    images: list[Path]
    folders: list[Path]
    left_out: list[Path]


@dataclass(frozen=True)
class Pictures:
    """``images`` uint8 [n, H, W] or [n, H, W, 3], 0 … 255; the kind of each file; how many are ``transparent``, and the
    level, 0 or 255, of the ``background`` that these were laid on; the ``md5`` of all names and contents."""

    images: Pixels
    kinds: tuple[str, ...]
    transparent: int
    background: int
    md5: str


@dataclass(frozen=True)
class ImageFolder(Pictures):
    """The pictures of a folder, and the names of files in it that are no images."""

    left_out: tuple[str, ...]


def read_images(path: Path, size: Size = None, channels: Channels = "auto") -> Samples:
    """The images of a file or folder; ``~`` is the home directory.

    A folder's image files are read by :func:`read_folder`. A file holds one array, or one called images, samples or
    arr_0, or a data set, whose training images are taken: x_train or train_images. What an array may be is said by
    :func:`genbalance.data.images.as_images`.

    Args:
        path: of the file or folder.
        size: pixels a side or [height, width], to which each image is resized and cut; None: as they are.
        channels: auto: colour unless all are grey; 1: grey; 3: colour.

    Raises:
        UserError: anything else, in one line that names the file, what was found and what is allowed.
    """
    path = at_home(path)
    try:
        if path.is_dir():
            folder = read_folder(path, size, channels)
            return Samples(folder.images, tuple(_warnings(folder)))
        array, warnings = array_files.read_one(path, FORMS)
        (images,) = conform([as_images(array, path, channels)], size, channels)
        return Samples(images, warnings)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def at_home(path: Path) -> Path:
    """The path with ``~`` as the home directory, where it is somebody's."""
    with contextlib.suppress(RuntimeError):
        return path.expanduser()
    return path


def _warnings(folder: ImageFolder) -> Iterator[str]:
    yield from notes_on(folder, folder.left_out)
    lossy = [kind for kind in folder.kinds if kind in LOSSY]
    if lossy:
        kinds = " and ".join(dict.fromkeys(lossy))
        yield (
            f"{len(lossy):,} of {len(folder.kinds):,} images are {kinds}: lossy compression alone moves the distances "
            "(docs/metrics.md says by how much); write PNG"
        )


def notes_on(pictures: Pictures, left_out: Sequence[str]) -> Iterator[str]:
    """What to know of how they were read, a sentence each."""
    if left_out:
        yield f"left out, since they are not images: {listed(left_out)}"
    if pictures.transparent:
        yield (
            f"{pictures.transparent:,} of {len(pictures.kinds):,} images are transparent: they were laid on "
            f"{'white' if pictures.background else 'black'}"
        )


def read_folder(folder: Path, size: Size = None, channels: Channels = "auto") -> ImageFolder:
    """The image files of ``folder``, or of the folders in it and in these, such as those of classes, in natural order:
    sample_2 before sample_10; read as `read_files` does.

    Raises:
        UserError: no image; images beside folders; another file; what `read_files` raises.
    """
    listing = _with_inner(folder, DEEPEST)
    if not listing.images:
        raise UserError(f"{folder}: {ONLY_THESE}; found {_counted(listing.folders or listing.left_out) or 'nothing'}")
    pictures = read_files(folder, listing.images, size, channels)
    left_out = tuple(entry.relative_to(folder).as_posix() for entry in listing.left_out)
    return ImageFolder(**vars(pictures), left_out=left_out)


def _with_inner(folder: Path, depth: int) -> Listing:
    """What is in the folder, with what is in its folders, at most ``depth`` of them in one another."""
    listing = list_folder(folder)
    if listing.folders and (listing.images or not depth):
        place = "beside images; allowed: either alone" if listing.images else "too deep; allowed: CLASS, or TRAIN/CLASS"
        raise UserError(f"{folder}: {ONLY_THESE}; found {_counted(listing.folders)} {place}")
    for path in listing.folders:
        inner = _with_inner(path, depth - 1)
        listing.images.extend(inner.images)
        listing.left_out.extend(inner.left_out)
    return listing


def list_folder(folder: Path) -> Listing:
    """What is in the folder.

    Raises:
        UserError: a file that is neither an image nor left out; a name that cannot be printed.
    """
    listing, others = Listing([], [], []), list[Path]()
    for entry in sorted(folder.iterdir(), key=natural):
        if not entry.name.isprintable():
            raise UserError(f"{folder}: found the name {in_a_line(entry.name)}, ? unprintable; rename that file")
        if _is_companion(entry):
            listing.left_out.append(entry)
        elif entry.is_dir():
            listing.folders.append(entry)
        else:
            is_image = entry.suffix.lower() in KINDS and entry.is_file()
            (listing.images if is_image else others).append(entry)
    if others:
        raise UserError(f"{folder}: {ONLY_THESE}; found {_counted(others)}")
    return listing


def read_files(root: Path, files: Sequence[Path], size: Size, channels: Channels, to_train: bool = False) -> Pictures:
    """The pictures of ``files``, all of one size and all grey or all in colour.

    16 bits become 8, palettes and CMYK become RGB, an EXIF orientation is applied, of several pictures in a JPEG file
    (a preview, another eye's view) the first is taken. Transparent pictures are laid on one background, black or white
    (see `Background`). Grey is the luma (ITU-R 601).

    Args:
        root: the folder that they all lie in: names below it count for the md5.
        files: at least one.
        size: pixels a side or [height, width], to which each is resized and cut; None: as they are.
        channels: auto: colour unless all are grey; 1: grey; 3: colour.
        to_train: whether networks are to be trained on them.

    Raises:
        UserError: an image that is broken, animated, of 32 bits, of other colours than grey, RGB or CMYK, or of another
            size than the first; a file that unpacks to more than `reading.MAX_BYTES`; pixels that are all 0 and 1;
            sides that nothing can be trained on.
    """
    digest, background = hashlib.md5(usedforsecurity=False), Background()
    images = opacities = None
    for number, file in enumerate(files):
        check_size(file.stat().st_size, file)
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{md5(content)}\n".encode())
        image, opacity = _picture(file, content, size, channels)
        if images is None:
            if to_train:
                check_sides(image[None], size, root)
            images = arrays.empty((len(files), *image.shape))
        if image.shape[:2] != images.shape[1:3]:
            raise UserError(
                f"{file}: found {_times(image.shape)} pixels, but {files[0].name} has {_times(images.shape[1:])}; "
                "allowed: images of one size (resized by data.size, or by --resize of evaluate)"
            )
        if image.ndim == images.ndim:  # the first one in colour
            coloured = arrays.empty((*images.shape, 3))
            coloured[:number] = images[:number, ..., None]
            images = coloured
        images[number] = image if image.ndim == images.ndim - 1 else image[..., None]
        if opacity is not None:
            if opacities is None:
                opacities = arrays.empty(images.shape[:3])
            opacities[number] = opacity
            background.count(number, image, opacity)
    assert images is not None
    for number in background.pictures:
        assert opacities is not None
        images[number] = _laid_on(background.level, images[number], opacities[number])
    check_levels(images, root)
    kinds = tuple(KINDS[file.suffix.lower()] for file in files)
    return Pictures(images, kinds, len(background.pictures), background.level, digest.hexdigest())


def _is_companion(entry: Path) -> bool:
    name = entry.name.lower()
    if name.startswith("."):
        return True
    if name == OF_ARCHIVES:
        return entry.is_dir()
    return entry.is_file() and (entry.suffix.lower() in COMPANIONS or name in BY_NAME)


def _counted(entries: Iterable[Path]) -> str:
    """How many of which suffix, with the name of the first of each."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault("folder" if entry.is_dir() else entry.suffix or "file", []).append(entry.name)
    return listed([f"{len(names)} {kind} ({names[0]}{', …' * (len(names) > 1)})" for kind, names in kinds.items()])


def natural(file: Path) -> tuple[list[str | int], str]:
    """What files and folders are sorted by: x_2 comes before x_10."""
    parts = re.split(r"(\d+)", file.stem)  # text and digits in turn, so that like is compared with like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], file.name


def _picture(file: Path, content: bytes, size: Size, channels: Channels) -> tuple[Pixels, Pixels | None]:
    """Levels [H, W] or [H, W, 3] and, where not all of the picture is opaque, its opacity [H, W]."""
    kind = KINDS[file.suffix.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # of a file Pillow would take memory for as much as a chunk claims
            with Image.open(io.BytesIO(content), formats=[kind.upper()]) as image:
                check_size(len(content) + DECODED * image.width * image.height, file)
                if kind != "JPEG" and (frames := getattr(image, "n_frames", 1)) > 1:
                    raise UserError(f"{file}: found {frames} frames; allowed: one")
                upright = _of_eight_bits(ImageOps.exif_transpose(image), file)
                return _levels(upright, size, channels)
    except BOMBS:
        raise UserError(f"{file}: found more than {Image.MAX_IMAGE_PIXELS:,} pixels; allowed: at most that") from None
    except BROKEN as error:
        raise UserError(f"{file}: is not a whole {kind} file ({type(error).__name__}); write it again") from None


def _of_eight_bits(image: Image.Image, file: Path) -> Image.Image:
    """The picture in one of the modes L, LA, RGB and RGBA."""
    if image.mode.startswith("I;16"):  # which `convert` would clip
        values = np.asarray(image)
        levels = Image.fromarray((values / 257).round().astype(np.uint8))
        if "transparency" in image.info:  # one level of 16 bits
            levels.putalpha(Image.fromarray(np.where(values == image.info["transparency"], np.uint8(0), np.uint8(255))))
        return levels
    if image.mode in ("I", "F"):
        raise UserError(f"{file}: found pixels of 32 bits; allowed: 8 or 16")
    if image.mode not in GREY + COLOURS:
        raise UserError(f"{file}: found colours of the kind {image.mode}; allowed: grey, RGB, CMYK or a palette")
    grey = image.mode in GREY
    if image.has_transparency_data:
        return image.convert("RGBA").convert("LA" if grey else "RGBA")
    return image.convert("L" if grey else "RGB")


def _levels(image: Image.Image, size: Size, channels: Channels) -> tuple[Pixels, Pixels | None]:
    alpha = "A" * image.mode.endswith("A")
    if channels == 1 or (channels == "auto" and image.mode.startswith("RGB") and _shows_grey(np.asarray(image))):
        image = image.convert(f"L{alpha}")
    elif channels == 3:
        image = image.convert(f"RGB{alpha}")
    if size is not None:
        image = fitted(image, *sides(size))
    pixels = np.asarray(image)
    if not alpha:
        return pixels, None
    opacity, levels = pixels[..., -1], pixels[..., :-1]
    return levels[..., 0] if levels.shape[2] == 1 else levels, opacity if opacity.min() < 255 else None


def _shows_grey(pixels: Pixels) -> bool:
    """Whether the channels of [H, W, 3 or 4] are equal wherever something can be seen."""
    equal = (pixels[..., :2] == pixels[..., 1:3]).all(axis=2)
    return bool((equal | (pixels[..., 3] == 0) if pixels.shape[2] == 4 else equal).all())


@dataclass
class Background:
    """The level that transparent pictures are laid on, 0 or 255, the same for all.

    The rule: the nearer to their border's mean level where the border, the outermost ring of pixels, is at least half
    opaque; else the further from the mean level of what they draw. Levels count with their opacity, colours as their
    mean.
    """

    pictures: list[int] = field(default_factory=list)
    size: int = 0  # of all borders, in pixels
    levels: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the borders, of all, times opacity
    opacities: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def count(self, number: int, image: Pixels, opacity: Pixels) -> None:
        """Adds a picture, levels [H, W] or [H, W, 3] and opacity [H, W], that has the ``number``."""
        self.pictures.append(number)
        ring = np.ones(opacity.shape, bool)
        ring[1:-1, 1:-1] = False
        self.size += int(ring.sum())
        grey = image if image.ndim == 2 else image.mean(axis=2)
        for index, part in enumerate((ring, np.ones_like(ring))):
            weights = opacity[part].astype(np.float64)
            self.levels[index] += float(grey[part] @ weights)
            self.opacities[index] += float(weights.sum())

    @property
    def level(self) -> int:
        """0 or 255."""
        border, drawn = (level - 127.5 * opacity for level, opacity in zip(self.levels, self.opacities, strict=True))
        if self.pictures and self.opacities[0] >= 255 * self.size / 2:
            return 255 if border >= 0 else 0
        return 255 if self.opacities[1] > 0 and drawn < 0 else 0


def _laid_on(background: int, image: Pixels, opacity: Pixels) -> Pixels:
    share = (opacity if image.ndim == 2 else opacity[..., None]) / 255
    laid: Pixels = (image * share + background * (1 - share)).round().astype(np.uint8)
    return laid


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape[:2]))
