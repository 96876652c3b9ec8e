"""Grids of images."""

import numpy as np
import pytest
from PIL import Image

from genbalance.data.pictures import TILE, alternate_rows, grid, per_class, save_png
from genbalance.data.prepared import Split


def images(n, side):
    return np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8)


def tile(picture, row, column, side, scale):
    """The image at a place, brought back to its own size."""
    step = side * scale + 1
    top, left = row * step + 1, column * step + 1
    return picture[top : top + side * scale : scale, left : left + side * scale : scale]


@pytest.mark.parametrize("side", [8, 17, 28, 56, 60])
def test_each_image_stands_in_its_place_pixel_for_pixel(side):
    shown, columns = images(7, side), 3
    picture = grid(shown, columns)
    scale = -(-TILE // side)
    assert picture.dtype == np.uint8
    assert picture.shape == (3 * (side * scale + 1) + 1, 3 * (side * scale + 1) + 1)
    for index, image in enumerate(shown):
        np.testing.assert_array_equal(tile(picture, index // columns, index % columns, side, scale), image)


def test_small_images_are_enlarged_to_a_readable_tile_and_each_pixel_stays_square():
    picture = grid(np.array([[[0, 255], [7, 9]]], dtype=np.uint8), 1)
    assert picture.shape == (TILE + 2, TILE + 2)
    for value, count in zip(*np.unique(picture[1:-1, 1:-1], return_counts=True), strict=True):
        assert count == (TILE // 2) ** 2, value


def test_a_line_of_grey_stands_between_images_and_a_missing_one_is_grey():
    picture = grid(np.zeros((3, 56, 56), np.uint8), 2)
    assert picture.shape == (115, 115)
    assert (picture[[0, 57, 114]] == 48).all()
    assert (picture[:, [0, 57, 114]] == 48).all()
    assert (picture[58:, 58:] == 48).all()
    assert (picture[58:114, 1:57] == 0).all()


def test_rows_alternate():
    upper, lower = images(6, 4), 255 - images(6, 4)
    both = alternate_rows(upper, lower, 3)
    np.testing.assert_array_equal(both, np.concatenate([upper[:3], lower[:3], upper[3:], lower[3:]]))


def test_what_does_not_fill_a_row_is_left_out_of_both():
    upper, lower = images(8, 4), 255 - images(8, 4)
    np.testing.assert_array_equal(alternate_rows(upper, lower, 3), alternate_rows(upper[:6], lower[:6], 3))


def test_a_saved_picture_comes_back_and_its_bytes_are_those_of_its_pixels(tmp_path):
    picture = grid(images(4, 28), 2)
    for name in ("a.png", "b.png"):
        save_png(tmp_path / name, picture)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == "L"
        np.testing.assert_array_equal(np.asarray(opened), picture)


def test_each_row_shows_the_first_images_of_its_class_and_black_after_them():
    labels = np.array([1, 0, 1, 1])
    images = np.arange(1, 5, dtype=np.uint8)[:, None, None] * np.ones((4, 8, 9), np.uint8)
    grid = per_class(Split(images, labels), classes=2, columns=2)
    assert grid.shape == (16, 18)
    np.testing.assert_array_equal(grid[::8, ::9], [[2, 0], [1, 3]])
    np.testing.assert_array_equal(grid, np.kron([[2, 0], [1, 3]], np.ones((8, 9))))


def test_of_many_classes_the_first_twenty_have_a_row():
    split = Split(np.arange(50, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2), np.arange(50))
    np.testing.assert_array_equal(per_class(split, classes=50, columns=1)[::8, 0], np.arange(20))


def test_without_classes_the_first_images_stand_in_rows():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 9, 3), dtype=np.uint8)
    picture = per_class(Split(pixels, np.zeros(7, np.int64)), classes=0, columns=3)
    assert picture.shape == (24, 27, 3)
    np.testing.assert_array_equal(picture[8:16, 9:18], pixels[4])
    assert not picture[16:, 9:].any()
