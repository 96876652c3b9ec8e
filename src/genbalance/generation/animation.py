"""Ways as files: frames as a GIF, or side by side as a PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genbalance.files import whole_file
from genbalance.pictures import arranged, enlarged, grid, save_png, text_tile, text_width

FRAME = 90  # milliseconds
SIDE = 168  # least side of an image in a GIF: it is looked at alone
CAPTION = 22  # height of a label above it


def save_ways(path: Path, ways: NDArray[np.uint8], labels: Sequence[str] = ()) -> None:
    """Writes ways [rows, steps, S, S] as a file of the kind that its name says; the same pixels give the same bytes.

    Args:
        path: .png: a row each; .gif: the ways side by side, a step a frame, there and back again without an end.
        ways: the images.
        labels: an ASCII text for each way, perhaps of two lines; left of its row in a PNG, above it in a GIF.
    """
    if path.suffix.lower() == ".png":
        save_png(path, _rows(ways, labels))
        return
    frames = [Image.fromarray(_frame(ways[:, step], labels)) for step in range(ways.shape[1])]
    with whole_file(path) as part:
        first, *others = [*frames, *frames[-2:0:-1]]
        first.save(part, format="GIF", save_all=True, append_images=others, duration=FRAME, loop=0)


def _rows(ways: NDArray[np.uint8], labels: Sequence[str]) -> NDArray[np.uint8]:
    rows, steps = ways.shape[:2]
    picture = grid(ways.reshape(-1, *ways.shape[2:]), steps)
    if not labels:
        return picture
    height, width = (len(picture) - 1) // rows, max(map(text_width, labels))
    column = np.concatenate([text_tile(label, height, width) for label in labels])
    return np.hstack([np.pad(column, ((0, 1), (0, 0))), picture])


def _frame(images: NDArray[np.uint8], labels: Sequence[str]) -> NDArray[np.uint8]:
    tiles = enlarged(images, SIDE)
    if labels:
        captions = [text_tile(", ".join(label.splitlines()), CAPTION, tiles.shape[2]) for label in labels]
        tiles = np.concatenate([np.stack(captions), tiles], axis=1)
    return arranged(tiles, int(np.ceil(np.sqrt(len(tiles)))))
