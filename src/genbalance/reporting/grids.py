"""Parts of grids of images, as the trainings leave them: PNG bytes in, PNG bytes out."""

import io
from collections.abc import Mapping

COLUMNS = 10
"""Of every grid of samples or reconstructions; a pixel of grey lies around each image."""

GREY = 48
"""The level of that pixel: `genbalance.data.pictures.LINE`, which nothing here imports, since it loads NumPy. A test
draws with one and cuts with the other."""


def part(png: bytes, width: int, height: int, top: int = 0) -> bytes:
    """The ``width`` × ``height`` pixels of a picture from its left edge and the row ``top`` on."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        cut = picture.crop((0, top, width, top + height))
    buffer = io.BytesIO()
    cut.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        OSError: it is no picture.
    """
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        picture.load()  # all of it, so that a broken one is found here
        return picture.size


def row_count(png: bytes) -> int:
    """How many rows of images a grid of :data:`COLUMNS` columns has; 0 where it has other columns.

    Raises:
        OSError: it is no picture.
    """
    width, height = size(png)
    step = _row_height(png)
    return 0 if (width - 1) % COLUMNS or width <= COLUMNS or not step or (height - 1) % step else (height - 1) // step


def rows(png: bytes, first: int, count: int) -> bytes:
    """The rows of images from ``first`` on of a grid of :data:`COLUMNS` columns."""
    width, _ = size(png)
    step = _row_height(png)
    return part(png, width, count * step + 1, first * step)


def _row_height(png: bytes) -> int:
    """Pixels from one line of grey between the images to the next; 0 where there are no such lines."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        levels = np.asarray(picture.convert("RGB"))
    lines = np.flatnonzero((levels == GREY).all(axis=(1, 2)))
    return int(lines[1]) if len(lines) > 1 and lines[0] == 0 else 0


FRAMES = 5


def frames(film: Mapping[int, bytes]) -> dict[int, bytes]:
    """Up to five epochs of a training's grids, from the first to the last and denser early on, where most happens.

    A frame is the upper left quarter of the epoch's grid: PNG bytes in, PNG bytes out.
    """
    epochs = sorted(film)
    ranks = {round(len(epochs) ** (step / (FRAMES - 1))) - 1 for step in range(FRAMES)}
    return {epochs[rank]: _quarter(film[epochs[rank]]) for rank in sorted(ranks)}


def _quarter(png: bytes) -> bytes:
    width, height = size(png)
    return part(png, (width + 1) // 2, (height + 1) // 2)
