"""A line of digits, with punctuation between them, as one picture."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pictures import TILE, like

Stroke = tuple[tuple[float, float], tuple[float, float]]  # from (x, y) to (x, y), shares of the tile's width and height

GLYPHS: dict[str, tuple[Stroke, ...]] = {
    " ": (),
    "-": (((0.2, 0.5), (0.8, 0.5)),),
    ".": (((0.5, 0.78), (0.5, 0.78)),),
    ":": (((0.5, 0.35), (0.5, 0.35)), ((0.5, 0.65), (0.5, 0.65))),
    "/": (((0.2, 0.8), (0.8, 0.2)),),
}
"""What may stand between digits."""


def line(text: str, digits: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """``text`` as one row of tiles without gaps, white on black; small ones enlarged as in a grid.

    Its n-th digit is the n-th of ``digits`` [H, W] or [H, W, 3]; glyphs are half as wide.
    """
    drawn = iter(digits)
    side = len(digits[0])
    row = np.concatenate(list(_tiles(text, drawn, digits[0])), axis=1)
    scale = max(1, -(-TILE // side))
    return row.repeat(scale, axis=0).repeat(scale, axis=1)


def _tiles(text: str, digits: Iterator[NDArray[np.uint8]], picture: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    side = len(picture)
    for character in text:
        yield like(picture, _glyph(character, side)) if character in GLYPHS else next(digits)


def _glyph(character: str, side: int) -> NDArray[np.uint8]:
    """Strokes a tenth of the side thick, with soft edges."""
    width = side // 2
    y, x = np.mgrid[:side, :width] + 0.5
    ink = np.zeros((side, width))
    for (x0, y0), (x1, y1) in GLYPHS[character]:
        dx, dy = (x1 - x0) * width, (y1 - y0) * side
        along = ((x - x0 * width) * dx + (y - y0 * side) * dy) / max(dx * dx + dy * dy, 1)
        along = along.clip(0, 1)
        apart = np.hypot(x - x0 * width - along * dx, y - y0 * side - along * dy)
        ink = np.maximum(ink, (side / 20 + 0.5 - apart).clip(0, 1))
    return (255 * ink).round().astype(np.uint8)
