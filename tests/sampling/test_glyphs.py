"""Lines of digits as pictures."""

import numpy as np
import pytest

from genbalance.data.pictures import TILE
from genbalance.sampling.glyphs import GLYPHS, line

SIDE = 28


def digits(n, side=SIDE):
    return list(np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8))


@pytest.mark.parametrize("side", [8, 28, 60])
def test_digits_stand_in_the_order_of_the_text_and_glyphs_are_half_as_wide(side):
    picture = line("12-3", digits(3, side))
    scale = max(1, -(-TILE // side))
    assert picture.shape == (side * scale, (3 * side + side // 2) * scale)
    shown = picture[::scale, ::scale]
    for image, left in zip(digits(3, side), (0, side, 2 * side + side // 2), strict=True):
        np.testing.assert_array_equal(shown[:, left : left + side], image)


def glyph(character):
    return line(f"0{character}", digits(1))[:, 2 * SIDE :]


def test_each_glyph_differs_from_the_others_and_touches_no_edge_at_its_sides():
    drawn = {character: glyph(character) for character in GLYPHS}
    assert len({picture.tobytes() for picture in drawn.values()}) == len(GLYPHS)
    for character, picture in drawn.items():
        assert (picture.max() == 255) == (character != " "), character
        assert not picture[[0, -1]].any()
        assert not picture[:, [0, -1]].any()


def test_a_space_is_a_gap():
    assert not glyph(" ").any()
