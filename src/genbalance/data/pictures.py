"""Grids of images, with a text beside them, as arrays and as PNG files."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from genbalance.data.prepared import Split
from genbalance.runtime.io import whole_file

MARGIN = 6  # pixels beside a text
ROWS = 20  # classes in a picture, at most
LINE = 48  # the level of the pixel between images, at which `genbalance.reporting.grids` cuts a grid
TILE = 56  # least side of an image in a grid, so that 28 pixels can be read


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images [n, H, W] or [n, H, W, 3] as one picture, row by row with a pixel of grey between; small ones enlarged."""
    return arranged(enlarged(images, TILE), columns)


def enlarged(images: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """Images times the whole number that makes their width ``least`` or a little more; large ones as they are."""
    scale = max(1, -(-least // images.shape[2]))
    return images.repeat(scale, axis=1).repeat(scale, axis=2)


def arranged(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Tiles [n, H, W] or [n, H, W, 3] as one picture, row by row with a pixel of grey between and around."""
    rows = -(-len(tiles) // columns)
    height, width = tiles.shape[1] + 1, tiles.shape[2] + 1
    picture = np.full((rows * height + 1, columns * width + 1, *tiles.shape[3:]), LINE, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * height + 1, (index % columns) * width + 1
        picture[top : top + height - 1, left : left + width - 1] = tile
    return picture


def text_width(text: str) -> int:
    """Pixels that the longest line of a text takes in `text_tile`, with a margin to either side."""
    return max(int(np.ceil(_font().getlength(line))) for line in text.splitlines()) + 2 * MARGIN


def text_tile(text: str, height: int, width: int) -> NDArray[np.uint8]:
    """A tile [height, width] with a text of ASCII letters, light on black, at its left and half its height."""
    tile = Image.new("L", (width, height))
    ImageDraw.Draw(tile).multiline_text((MARGIN, height / 2), text, fill=200, font=_font(), anchor="lm")
    return np.asarray(tile)


def like(picture: NDArray[np.uint8], grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels [..., H, W] as they are beside a grey ``picture``, in three equal channels beside one in colour."""
    return grey if picture.ndim == 2 else np.repeat(grey[..., None], 3, axis=-1)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own: the same glyphs on each machine, of ASCII and little more."""
    return ImageFont.load_default(14)


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """A picture [H, W] or [H, W, 3] as PNG: the same pixels give the same bytes. Pillow would take four times as long
    to optimise them, for 2% of their size."""
    with whole_file(path) as part:
        Image.fromarray(picture).save(part, format="PNG")


def alternate_rows(upper: NDArray[np.uint8], lower: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Two sets of n images in grid order such that each row of ``upper`` stands above its row of ``lower``; what does
    not fill a row is left out."""
    rows = len(upper) // columns
    pair = [images[: rows * columns].reshape(rows, columns, *images.shape[1:]) for images in (upper, lower)]
    return np.stack(pair, axis=1).reshape(-1, *upper.shape[1:])


def per_class(split: Split, classes: int, columns: int) -> NDArray[np.uint8]:
    """A row for each of the first twenty classes with its first ``columns`` images, black where it has fewer; without
    two classes the first images in as many rows as columns.

    Returns:
        uint8 [rows · height, columns · width] or [rows · height, columns · width, 3].
    """
    _, height, width, *channels = split.images.shape
    if classes < 2:
        first = split.images[: columns**2]
        split, classes = Split(first, np.arange(len(first)) // columns), -(-len(first) // columns)
    classes = min(classes, ROWS)
    rows = np.zeros((classes, columns, height, width, *channels), np.uint8)
    for label in range(classes):
        first = split.images[split.labels == label][:columns]
        rows[label, : len(first)] = first
    return rows.swapaxes(1, 2).reshape(classes * height, columns * width, *channels)
