"""Images of any model, read from files: a folder of image files, a NumPy or a safetensors file.

Nothing here reads a pickle, and nothing guesses a range of values: what could be read in two ways is refused. Of a
folder every file is read, refused by name, or listed as left out.
"""

import contextlib
import io
import math
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genbalance.data.images import TYPES, as_images
from genbalance.data.reading import check_size
from genbalance.runtime.errors import UserError, in_a_line

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

NAMES = ("images", "samples", "arr_0")  # of the array to take where a file holds several
TRAINING = ("x_train", "train_images")  # where the file is a data set, of Keras or MedMNIST: what a model learns from
ARRAY, ARCHIVES = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")  # how NumPy's files start
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LONGEST_HEADER = 2**14  # bytes; NumPy itself refuses one of more than 10,000 letters
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a few bytes unpack to any number at once
BYTES = {"BOOL": 1} | {f"{kind}{8 * size}": size for kind in "UIF" for size in (1, 2, 4, 8) if (kind, size) != ("F", 1)}
FORMS = f"a folder of images ({SUPPORTED}), or a file .npy, .npz or .safetensors"
UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError, ArithmeticError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),  # NumPy reads a header as Python reads text
)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Samples:
    """Grey square ``images`` uint8 [n, S, S], 0 … 255, and what to know of how they were read, a sentence each."""

    images: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


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


def read_images(path: Path) -> Samples:
    """The images of a file or folder; ``~`` is the home directory.

    A folder's image files are read by :func:`read_folder`. A file holds one array, or one called images, samples or
    arr_0, or a data set, whose training images are taken: x_train or train_images. What an array may be is said by
    :func:`genbalance.data.images.as_images`.

    Raises:
        UserError: anything else, in one line that names the file, what was found and what is allowed.
    """
    with contextlib.suppress(RuntimeError):  # of nobody's home
        path = path.expanduser()
    try:
        if path.is_dir():
            folder = read_folder(path)
            return Samples(as_images(folder.images, path), tuple(_warnings(folder)))
        array, warnings = _array(path)
        return Samples(as_images(array, path), warnings)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _warnings(folder: ImageFolder) -> Iterator[str]:
    if folder.left_out:
        yield f"left out, since they are not images: {_listed(folder.left_out)}"
    if folder.transparent:
        yield (
            f"{folder.transparent:,} of {len(folder.kinds):,} images are transparent: they were laid on "
            f"{'white' if folder.background else 'black'}"
        )
    lossy = [kind for kind in folder.kinds if kind in LOSSY]
    if lossy:
        kinds = " and ".join(dict.fromkeys(lossy))
        yield (
            f"{len(lossy):,} of {len(folder.kinds):,} images are {kinds}: lossy compression alone moves the distances "
            "(docs/metrics.md says by how much); write PNG"
        )


def read_folder(folder: Path) -> ImageFolder:
    """The image files of ``folder`` in natural order: sample_2 before sample_10.

    Colours become grey (ITU-R 601 luma), 16 bits become 8, an EXIF orientation is applied, transparent images are laid
    on one background, black or white (see `_background`). Hidden files and folders, text, labels (.csv, .json …),
    README, LICENSE, Thumbs.db and desktop.ini are left out.

    Raises:
        UserError: no image; another file or a folder; an image that is broken, animated, of 32 bits or of another size
            than the first; more than `reading.MAX_BYTES`.
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
    return _listed([f"{len(names)} {kind} ({names[0]}{', …' * (len(names) > 1)})" for kind, names in kinds.items()])


def _natural(file: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", file.stem)  # text and digits in turn, so that like is compared with like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], file.name


def _picture(file: Path, held: int) -> tuple[Pixels, Pixels | None]:
    """Grey levels [H, W] and, where not all of the picture is opaque, its opacity [H, W]; ``held`` bytes are of those
    before it."""
    kind = KINDS[file.suffix.lower()]
    check_size(held + file.stat().st_size, file)
    content = io.BytesIO(file.read_bytes())  # of a file Pillow would take memory for as much as a chunk claims
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(content, formats=[kind.upper()]) as image:
                check_size(held + DECODED * image.width * image.height, file)
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


def _array(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array, and what to know of how it was chosen."""
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: {FORMS}")
    match path.suffix.lower():
        case ".npy" | ".npz":
            return _numpy(path)
        case ".safetensors":
            return _safetensors(path)
    raise UserError(f"{path}: found a file of another kind; allowed: {FORMS}")


def _numpy(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(ARCHIVES):
                with zipfile.ZipFile(file) as archive:
                    return _member(path, archive)
            if start != ARRAY:  # np.load would take it for a pickle
                raise UserError(f"{path}: starts with the bytes {start.hex(' ') or '(none)'}, as no NumPy file does")
            _check_header(file, path.stat().st_size, path)
            return np.load(path, mmap_mode="r", allow_pickle=False), ()
    except UNREADABLE as error:
        reason = in_a_line((f"{type(error).__name__}: {error}".splitlines() or [""])[0])
        raise UserError(f"{path}: cannot be read ({reason}); allowed: a whole file of numbers, no objects") from None


def _member(path: Path, archive: zipfile.ZipFile) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array of an archive, which is unpacked only if its headers claim no more than `reading.MAX_BYTES`."""
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    name, warnings = _chosen(path, list(members))
    member = members[name]
    if not member.filename.endswith(".npy"):
        raise UserError(f"{path}: holds something that is no array; allowed: what np.savez writes")
    if member.compress_type not in PACKINGS:
        raise UserError(f"{path}: found another packing than np.savez and np.savez_compressed write; allowed: theirs")
    check_size(member.file_size, path)
    with archive.open(member) as stream:
        _check_header(stream, member.file_size, path)
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False), warnings


def _check_header(stream: IO[bytes], size: int, path: Path) -> None:
    """Refuses an array that is cut off, not of numbers or too large, by the header that comes next in ``size`` bytes.

    Raises:
        UserError: it is more than `reading.MAX_BYTES`.
        ValueError: it is not as it should be.
    """
    start = io.BytesIO(stream.read(LONGEST_HEADER))  # NumPy takes memory for as long a header as the file claims
    version = npy.read_magic(start)
    if version not in HEADERS:
        raise ValueError(f"found version {version[0]}.{version[1]} of the format")
    shape, _, dtype = HEADERS[version](start)
    if dtype.hasobject:
        raise ValueError("found objects")
    count, rest = math.prod(shape), size - start.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize > rest:
        raise ValueError(f"the header declares more values than there are in {rest} bytes")
    check_size(count * dtype.itemsize, path)


def _safetensors(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            name, warnings = _chosen(path, list(file.keys()))
            kind, shape = file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()
            if kind not in BYTES:  # bfloat16 and the like
                raise UserError(f"{path}: found values of type {kind}, unknown to NumPy; allowed: {TYPES}")
            check_size(math.prod(shape) * BYTES[kind], path)
            return file.get_tensor(name), warnings
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: is not a whole safetensors file ({in_a_line(str(error))}); write it again") from None


def _chosen(path: Path, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of the array to take, and a warning where it is one of a data set's."""
    chosen = list(names) if len(names) == 1 else [name for name in (*NAMES, *TRAINING) if name in names]
    if len(chosen) != 1:
        raise UserError(
            f"{path}: holds {_listed(sorted(names)) or 'nothing'}; allowed: one array, or one of several called "
            f"{', '.join(NAMES)}, or a data set with {' or '.join(TRAINING)}"
        )
    (name,) = chosen
    warning = (
        f"of the arrays {_listed(sorted(names))} {name} is measured" if name in TRAINING and len(names) > 1 else ""
    )
    return name, (warning,) * bool(warning)


def _listed(names: Sequence[str]) -> str:
    """The names, each in a line, the first five of them and their number where there are more."""
    return ", ".join([*map(in_a_line, names[:5]), *([f"… ({len(names)})"] if len(names) > 5 else [])])
