"""Lines of digits, and ways as files."""

import numpy as np
import pytest
from PIL import Image

from genbalance.generation.animation import FRAME, save_ways
from genbalance.generation.lettering import line
from genbalance.generation.marks import MARKS
from genbalance.pictures import TILE, grid

SIDE = 28
WAYS = np.random.default_rng(0).integers(0, 256, (2, 5, SIDE, SIDE), dtype=np.uint8)


def digits(n, side=SIDE):
    return list(np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8))


@pytest.mark.parametrize("side", [8, 28, 60])
def test_digits_stand_in_the_order_of_the_text_and_marks_are_half_as_wide(side):
    picture = line("12-3", digits(3, side))
    scale = max(1, -(-TILE // side))
    assert picture.shape == (side * scale, (3 * side + side // 2) * scale)
    shown = picture[::scale, ::scale]
    for image, left in zip(digits(3, side), (0, side, 2 * side + side // 2), strict=True):
        np.testing.assert_array_equal(shown[:, left : left + side], image)


def mark(character):
    return line(f"0{character}", digits(1))[:, 2 * SIDE :]


def test_each_mark_can_be_told_from_the_others_and_touches_no_edge_at_its_sides():
    drawn = {character: mark(character) for character in MARKS}
    assert len({picture.tobytes() for picture in drawn.values()}) == len(MARKS)
    for character, picture in drawn.items():
        assert (picture.max() == 255) == (character != " "), character
        assert not picture[[0, -1]].any()
        assert not picture[:, [0, -1]].any()


def test_a_space_is_a_gap():
    assert not mark(" ").any()


def test_a_png_shows_a_row_for_each_way(tmp_path):
    save_ways(tmp_path / "ways.PNG", WAYS)
    with Image.open(tmp_path / "ways.PNG", formats=["PNG"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), grid(WAYS.reshape(10, SIDE, SIDE), 5))


def test_a_gif_goes_there_and_back_again_without_an_end(tmp_path):
    save_ways(tmp_path / "ways.gif", WAYS)
    with Image.open(tmp_path / "ways.gif") as picture:
        assert picture.n_frames == 8
        assert picture.info["loop"] == 0
        for frame, step in enumerate((0, 1, 2, 3, 4, 3, 2, 1)):
            picture.seek(frame)
            assert picture.info["duration"] == FRAME
            shown = np.asarray(picture.convert("L")).astype(int)  # a palette of 256 has no room for all greys and none
            np.testing.assert_allclose(shown, grid(WAYS[:, step], 1), atol=1)


@pytest.mark.parametrize("name", ["ways.gif", "ways.png"])
def test_the_same_ways_give_the_same_bytes(tmp_path, name):
    (tmp_path / "again").mkdir()
    for folder in (tmp_path, tmp_path / "again"):
        save_ways(folder / name, WAYS)
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
