"""Grids of images as PNG files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genbalance.files import whole_file

TILE = 56  # least side of an image in a grid, so that 28 pixels can be read


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images [n, S, S] as one picture, row by row, white on black with a pixel of grey between; small ones enlarged."""
    scale = max(1, -(-TILE // images.shape[-1]))
    enlarged = images.repeat(scale, axis=1).repeat(scale, axis=2)
    rows = -(-len(images) // columns)
    side = enlarged.shape[-1] + 1
    picture = np.full((rows * side + 1, columns * side + 1), 48, dtype=np.uint8)
    for index, image in enumerate(enlarged):
        top, left = (index // columns) * side + 1, (index % columns) * side + 1
        picture[top : top + side - 1, left : left + side - 1] = image
    return picture


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """A grey picture [H, W] as PNG: the same pixels give the same bytes."""
    with whole_file(path) as part:
        Image.fromarray(picture).save(part, format="PNG", optimize=True)


def alternate_rows(upper: NDArray[np.uint8], lower: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Two sets of n images in grid order such that each row of ``upper`` stands above its row of ``lower``; what does
    not fill a row is left out."""
    rows = len(upper) // columns
    pair = [images[: rows * columns].reshape(rows, columns, *images.shape[1:]) for images in (upper, lower)]
    return np.stack(pair, axis=1).reshape(-1, *upper.shape[1:])
