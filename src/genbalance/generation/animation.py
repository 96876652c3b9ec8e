"""Ways as files: frames as a GIF, or side by side as a PNG."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genbalance.files import whole_file
from genbalance.pictures import grid, save_png

FRAME = 90  # milliseconds


def save_ways(path: Path, ways: NDArray[np.uint8]) -> None:
    """Ways [rows, steps, S, S]: as a PNG a row each; as a GIF one above another, a step a frame, there and back again
    without an end. The kind is that of the file's name; the same pixels give the same bytes."""
    rows, steps = ways.shape[:2]
    if path.suffix.lower() == ".png":
        save_png(path, grid(ways.reshape(-1, *ways.shape[2:]), steps))
        return
    columns = -(-rows // 8)
    frames = [Image.fromarray(grid(ways[:, step], columns)) for step in range(steps)]
    with whole_file(path) as part:
        first, *others = [*frames, *frames[-2:0:-1]]
        first.save(part, format="GIF", save_all=True, append_images=others, duration=FRAME, loop=0)
