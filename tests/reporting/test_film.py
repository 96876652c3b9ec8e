"""Which epochs a filmstrip shows, and which part of them."""

import io

import numpy as np
import pytest
from PIL import Image

from genbalance.reporting.film import frames


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 40, 60, 1000])
def test_a_film_runs_from_the_first_epoch_to_the_last_in_at_most_five_frames(epochs):
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
