"""Parts of grids, and which epochs of a training are shown."""

import io

import numpy as np
import pytest
from PIL import Image

from genbalance.data.pictures import LINE, grid
from genbalance.reporting.grids import COLUMNS, GREY, frames, row_count, rows


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (64, 64), (12, 20), (20, 12, 3), (30, 60, 3)])
def test_rows_of_a_grid_are_the_grid_of_their_images(shape):
    assert GREY == LINE  # two constants, since reporting does not import what loads NumPy
    images = np.random.default_rng(0).integers(0, 256, (5 * COLUMNS, *shape), dtype=np.uint8)
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


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 40, 60, 1000])
def test_the_frames_run_from_the_first_epoch_to_the_last_in_at_most_five_frames(epochs):
    grid = png(np.zeros((4, 4), np.uint8))
    shown = list(frames(dict.fromkeys(range(1, epochs + 1), grid)))
    assert shown[0] == 1
    assert shown[-1] == epochs
    assert shown == sorted(set(shown))
    assert len(shown) == min(epochs, len(shown)) <= 5
    assert epochs < 40 or len(shown) == 5


def test_a_frame_is_the_upper_left_quarter():
    grid = np.arange(36, dtype=np.uint8).reshape(6, 6)
    with Image.open(io.BytesIO(frames({1: png(grid)})[1])) as frame:
        assert np.array_equal(np.asarray(frame), grid[:3, :3])
