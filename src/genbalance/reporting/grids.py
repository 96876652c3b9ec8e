"""Parts of grids of images, as the trainings leave them: PNG bytes in, PNG bytes out."""

import io

COLUMNS = 10
"""Of every grid of samples or reconstructions; a pixel of grey lies around each image."""


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
    side, beside = divmod(width - 1, COLUMNS)
    return 0 if beside or side < 1 or (height - 1) % side else (height - 1) // side


def rows(png: bytes, first: int, count: int) -> bytes:
    """The rows of images from ``first`` on of a grid of :data:`COLUMNS` columns."""
    width, _ = size(png)
    side = (width - 1) // COLUMNS
    return part(png, width, count * side + 1, first * side)
