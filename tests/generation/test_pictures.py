"""Lines of digits, and ways as files."""

import numpy as np
import pytest
from PIL import Image

from genbalance.generation.animation import CAPTION, FRAME, save_ways
from genbalance.generation.lettering import line
from genbalance.generation.marks import MARKS
from genbalance.pictures import MARGIN, TILE, grid, text_tile, text_width

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


LABELS = ["latent 21\n-3 to 3 SD", "latent 3\n-3 to 3 SD"]


@pytest.mark.parametrize("side", [8, 28, 60])
def test_the_rows_of_a_png_have_their_labels_before_them(tmp_path, side):
    ways = np.random.default_rng(0).integers(0, 256, (2, 5, side, side), dtype=np.uint8)
    plain = grid(ways.reshape(10, side, side), 5)
    height = (len(plain) - 1) // 2
    save_ways(tmp_path / "ways.png", ways, LABELS)
    with Image.open(tmp_path / "ways.png") as picture:
        shown = np.asarray(picture)
    labels, pictures = np.hsplit(shown, [shown.shape[1] - plain.shape[1]])
    np.testing.assert_array_equal(pictures, plain)
    for index, text in enumerate(LABELS):
        tile = labels[index * height : (index + 1) * height]
        np.testing.assert_array_equal(tile, text_tile(text, height, labels.shape[1]))
        assert tile.any()
        assert not tile[[0, -1]].any()  # whole, and within its row
        assert not tile[:, -1].any()


def test_a_text_can_be_read_from_its_tile():
    tiles = {text: text_tile(text, 40, text_width(text)) for text in ("latent 21", "latent 12", "3 to 8", "-3 to 3 SD")}
    assert len({tile.tobytes() for tile in tiles.values()}) == len(tiles)
    assert all(tile[:, : MARGIN // 2].max() == tile[:, -MARGIN // 2 :].max() == 0 for tile in tiles.values())


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("side", [8, 28, 200])
def test_a_gif_goes_there_and_back_again_without_an_end_large_enough_to_look_at(tmp_path, side, labels):
    ways = np.random.default_rng(0).integers(0, 256, (2, 5, side, side), dtype=np.uint8)
    save_ways(tmp_path / "ways.gif", ways, labels)
    scale = -(-168 // side)
    extent, above = side * scale, CAPTION if labels else 0
    with Image.open(tmp_path / "ways.gif") as picture:
        assert picture.size == (2 * (extent + 1) + 1, extent + above + 2)
        assert picture.n_frames == 8
        assert picture.info["loop"] == 0
        for frame, step in enumerate((0, 1, 2, 3, 4, 3, 2, 1)):
            picture.seek(frame)
            assert picture.info["duration"] == FRAME
            shown = np.asarray(picture.convert("L")).astype(int)  # a palette of 256 has no room for all greys and none
            for column, image in enumerate(ways[:, step]):
                left = column * (extent + 1) + 1
                tile = shown[1 + above : -1, left : left + extent]
                np.testing.assert_allclose(tile[::scale, ::scale], image, atol=1)
                np.testing.assert_allclose(tile, image.repeat(scale, axis=0).repeat(scale, axis=1), atol=1)
                assert shown[1 : 1 + above, left : left + extent].any() == bool(labels)


@pytest.mark.parametrize(("ways", "columns"), [(1, 1), (3, 2), (8, 3), (9, 3)])
def test_the_ways_of_a_gif_make_about_a_square(tmp_path, ways, columns):
    save_ways(tmp_path / "ways.gif", np.zeros((ways, 2, SIDE, SIDE), np.uint8))
    with Image.open(tmp_path / "ways.gif") as picture:
        assert picture.size == (169 * columns + 1, 169 * -(-ways // columns) + 1)


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("name", ["ways.gif", "ways.png"])
def test_the_same_ways_give_the_same_bytes(tmp_path, name, labels):
    (tmp_path / "again").mkdir()
    for folder in (tmp_path, tmp_path / "again"):
        save_ways(folder / name, WAYS, labels)
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
