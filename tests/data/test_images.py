"""Size and channels of images, and the rule of polarity: when images look like negatives of others."""

import numpy as np
import pytest
from PIL import Image

from genbalance.data.images import BLACK, conform, doubts, in_colour, is_grey, look_inverted, luma

SIDE = 12
RNG = np.random.default_rng(0)


def digits(n):
    """Strokes of a few pixels, white on black."""
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    images[:, 2:-2, 5:7] = RNG.integers(150, 256, (n, SIDE - 4, 2))
    return images


def noise(n):
    return RNG.integers(0, 256, (n, SIDE, SIDE)).astype(np.uint8)


REFERENCE = digits(50)


@pytest.mark.parametrize(
    ("images", "inverted"),
    [
        (digits(20), False),
        (255 - digits(20), True),
        (digits(1), False),
        (255 - digits(1), True),
        (noise(20), False),
        (noise(20) // 2, False),
        (np.zeros((3, SIDE, SIDE), np.uint8), False),
        (np.full((3, SIDE, SIDE), 255, np.uint8), True),
        (np.concatenate([digits(20), 255 - digits(20)]), False),
    ],
)
def test_only_negatives_of_digits_look_inverted(images, inverted):
    assert look_inverted(images, REFERENCE) is inverted


def test_black_on_white_is_right_where_the_reference_is_so():
    assert look_inverted(digits(20), 255 - REFERENCE)
    assert not look_inverted(255 - digits(20), 255 - REFERENCE)


def test_a_white_frame_alone_is_not_an_inversion():
    framed = digits(20)
    framed[:, [0, -1]] = framed[:, :, [0, -1]] = 255
    assert not look_inverted(framed, REFERENCE)


def test_nothing_is_inverted_beside_a_reference_as_bright_as_its_negative():
    for images in (digits(20), 255 - digits(20), noise(20)):
        assert not look_inverted(images, np.tile([[0, 255], [255, 0]], (5, 6, 6)).astype(np.uint8))


@pytest.mark.parametrize(("brightest", "count"), [(0, 0), (2, 1), (16, 1), (63, 1), (64, 0), (255, 0)])
def test_images_that_are_dim_throughout_are_doubtful(brightest, count):
    found = list(doubts(np.minimum(digits(20), brightest).astype(np.uint8), REFERENCE))
    assert len(found) == count
    assert all(f"{brightest} of 255; if {brightest} is white" in doubt for doubt in found)


def test_digits_beside_digits_are_not_doubtful():
    assert list(doubts(digits(20), REFERENCE)) == list(doubts(digits(20), BLACK)) == []
    assert len(list(doubts(255 - digits(20), BLACK))) == 1


def test_one_pixel_is_border_and_all():
    dark, bright = np.full((1, 1, 1), 10, np.uint8), np.full((1, 1, 1), 240, np.uint8)
    assert look_inverted(bright, dark)
    assert not look_inverted(dark, dark)


def test_the_polarity_of_colours_is_judged_as_that_of_grey():
    assert look_inverted(in_colour(255 - digits(20)), REFERENCE)
    assert not look_inverted(in_colour(digits(20)), in_colour(REFERENCE))


def test_without_a_reference_bright_images_are_not_doubtful():
    assert list(doubts(255 - digits(20), None)) == []


# ── size and channels ────────────────────────────────────────────────────────────────────────────────────────────


def colours(n, height=SIDE, width=SIDE):
    return RNG.integers(0, 256, (n, height, width, 3)).astype(np.uint8)


def test_what_needs_no_change_is_handed_back_as_it_is():
    grey, colour = digits(3), colours(3)
    assert conform([grey], None, "auto")[0] is grey
    assert conform([grey], SIDE, 1)[0] is grey
    assert conform([colour], [SIDE, SIDE], "auto")[0] is colour


def test_luma_is_pillows_to_the_last_digit():
    images = colours(50, 16, 16)
    np.testing.assert_array_equal(luma(images), [np.asarray(Image.fromarray(image).convert("L")) for image in images])


def test_equal_channels_are_grey_and_their_luma_is_one_of_them():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert is_grey(in_colour(levels))
    np.testing.assert_array_equal(luma(in_colour(levels)), levels)
    other = in_colour(levels)
    other[0, 15, 15, 2] ^= 1
    assert not is_grey(other)


def test_all_parts_are_grey_or_none_is():
    grey, colour = digits(3), colours(2)
    assert [part.ndim for part in conform([grey, in_colour(grey)], None, "auto")] == [3, 3]
    assert [part.ndim for part in conform([grey, colour], None, "auto")] == [4, 4]
    assert [part.ndim for part in conform([grey, colour], None, 1)] == [3, 3]
    assert [part.ndim for part in conform([grey, grey], None, 3)] == [4, 4]


@pytest.mark.parametrize(("factor", "size"), [(2, (4, 6)), (3, (5, 4)), (7, (8, 8))])
def test_a_whole_factor_gives_the_mean_of_each_area(factor, size):
    images = colours(4, factor * size[0], factor * size[1])
    means = images.reshape(4, size[0], factor, size[1], factor, 3).mean((2, 4))
    assert np.abs(conform([images], size, 3)[0] - means).max() <= 1  # rounded once a direction


@pytest.mark.parametrize("shape", [(10, 30), (30, 10), (11, 29), (9, 9)])
@pytest.mark.parametrize("size", [(8, 8), (4, 8), (20, 12)])
def test_resizing_keeps_one_colour_and_mirrors(shape, size):
    flat = np.full((2, *shape, 3), (10, 200, 77), np.uint8)
    assert (conform([flat], size, 3)[0] == (10, 200, 77)).all()
    images = colours(3, *shape)
    (plain,), (mirrored,) = conform([images], size, 3), conform([images[:, ::-1, ::-1]], size, 3)
    assert np.abs(plain.astype(int) - mirrored[:, ::-1, ::-1]).max() <= 1


def test_the_middle_is_kept():
    images = np.zeros((1, 8, 24), np.uint8)
    images[:, :, 8:16] = 255
    assert (conform([images], 8, 1)[0] == 255).all()
    assert (conform([images.transpose(0, 2, 1)], 4, 1)[0] == 255).all()
