"""The rule of polarity: when images look like negatives of others."""

import numpy as np
import pytest

from genbalance.data.images import BLACK, doubts, look_inverted

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
