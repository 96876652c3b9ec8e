"""Parts of grids."""

import io

import numpy as np
import pytest
from PIL import Image

from genbalance.pictures import grid
from genbalance.reporting.grids import COLUMNS, row_count, rows


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("side", [8, 28, 64])
def test_rows_of_a_grid_are_the_grid_of_their_images(side):
    images = np.random.default_rng(0).integers(0, 256, (5 * COLUMNS, side, side), dtype=np.uint8)
    whole = png(grid(images, COLUMNS))
    assert row_count(whole) == 5
    for first, count in ((0, 1), (1, 1), (0, 4), (3, 2)):
        cut = rows(whole, first, count)
        assert row_count(cut) == count
        with Image.open(io.BytesIO(cut)) as picture:
            expected = grid(images[first * COLUMNS : (first + count) * COLUMNS], COLUMNS)
            assert np.array_equal(np.asarray(picture), expected)


def test_a_grid_of_other_columns_has_no_rows():
    images = np.zeros((7, 28, 28), np.uint8)
    assert row_count(png(grid(images, 7))) == 0


@pytest.mark.parametrize("text", [b"", b"nonsense", png(np.zeros((50, 50), np.uint8))[:60]])
def test_what_is_no_picture_is_an_error(text):
    with pytest.raises(OSError, match=r"cannot identify|truncated"):
        row_count(text)
