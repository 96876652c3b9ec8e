"""Sprites: images by their factors."""

import hashlib
import math

import numpy as np
import pytest

from genbalance.data.sprites import COLOURS, FACTORS, FINE, RADIUS, SIDE, STEP, sprites

COUNTS = [len(values) for values in FACTORS.values()]
NAMES = list(FACTORS)


@pytest.fixture(scope="module")
def drawn():
    return sprites()


@pytest.fixture(scope="module")
def grid(drawn):
    """Images by their factors: [3, 4, 5, 6, 6, 5, 32, 32, 3]."""
    return drawn[0].reshape(*COUNTS, SIDE, SIDE, 3)


def coverage(grid):
    """The share of each pixel within the shape, out of the first colour's brightest channel."""
    colour = next(iter(COLOURS.values()))
    return grid[..., 0, :, :, int(np.argmax(colour))] / max(colour)


def test_every_combination_of_factors_is_there_once(drawn):
    images, factors = drawn
    assert (images.shape, images.dtype) == ((10_800, SIDE, SIDE, 3), np.uint8)
    assert (factors.shape, factors.dtype) == ((10_800, len(FACTORS)), np.int64)
    assert factors.min(axis=0).tolist() == [0] * len(COUNTS)
    assert (factors.max(axis=0) + 1).tolist() == COUNTS
    assert len(np.unique(factors, axis=0)) == len(factors) == math.prod(COUNTS)
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(factors.T), COUNTS), np.arange(len(factors)))


def test_all_images_differ(drawn):
    assert len({image.tobytes() for image in drawn[0]}) == len(drawn[0])


@pytest.mark.parametrize("factor", range(len(COUNTS)), ids=NAMES)
def test_a_step_of_one_factor_is_seen(grid, factor):
    """In every image by more than a pixel of full contrast."""
    steps = np.abs(np.diff(grid.astype(np.int16), axis=factor)).sum(axis=(-1, -2, -3))
    assert steps.min() > 255


@pytest.mark.parametrize(("factor", "axis"), [("x", -2), ("y", -3)])
def test_a_step_of_the_place_moves_the_pixels_unchanged(grid, factor, axis):
    """To the right with x, downwards with y, and nothing leaves the image."""
    at = NAMES.index(factor)
    for place in range(COUNTS[at] - 1):
        before, after = grid.take(place, at), grid.take(place + 1, at)
        np.testing.assert_array_equal(after, np.roll(before, STEP, axis))
        assert not before.take(range(SIDE - STEP, SIDE), axis).any()


def test_a_colour_is_seen_whole_in_the_middle_and_in_shares_at_the_edge(grid):
    """Black elsewhere; an edge pixel has one of the 63 shares that 64 points can make, of all channels alike."""
    for place, (name, colour) in enumerate(COLOURS.items()):
        shares = np.arange(FINE**2 + 1)[:, None] * np.array(colour) / FINE**2
        allowed = {tuple(row) for row in np.floor(shares + 0.5).astype(int).tolist()}
        found = {tuple(pixel) for pixel in np.unique(grid[:, :, :, 0, 0, place].reshape(-1, 3), axis=0).tolist()}
        assert {(0, 0, 0), colour} < found <= allowed, name


@pytest.mark.parametrize(("shape", "area"), [("square", 2.0), ("ellipse", math.pi / 2), ("heart", 1.7655)])
def test_areas_are_those_of_the_shapes(grid, shape, area):
    """In squares of the radius; the heart's is 3.6610… in its equation's unit. A rotation leaves it as it is."""
    found = coverage(grid)[FACTORS["shape"].index(shape)].sum(axis=(-1, -2))
    expected = area * (np.array(FACTORS["scale"]) * RADIUS) ** 2
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None, None], found.shape), rtol=0.04)


@pytest.mark.parametrize("shape", range(3), ids=FACTORS["shape"])
def test_no_rotation_is_another_one_mirrored_or_turned_by_quarters(grid, shape):
    """Of the square it may be mirrored: 18° and 72° are."""
    masks = coverage(grid)[shape, -1, :, 0, 0, :16, :16]  # the largest, alone in the corner
    turns = [[np.rot90(mask, k) for k in range(4)] for mask in masks]
    for one in range(5):
        for other in range(one + 1, 5):
            assert min(np.abs(masks[one] - turn).sum() for turn in turns[other]) > 4


def test_centres_stand_where_the_factors_say(grid):
    """Of the square and the ellipse, whose centres are those of their mass."""
    mass = coverage(grid)[:2]
    total = mass.sum(axis=(-1, -2))
    middles = np.arange(SIDE) + 0.5
    x, y = (mass.sum(axis=axis) @ middles / total for axis in (-2, -1))
    np.testing.assert_allclose(x, np.broadcast_to(np.array(FACTORS["x"])[:, None], x.shape), atol=0.02)
    np.testing.assert_allclose(y, np.broadcast_to(np.array(FACTORS["y"]), y.shape), atol=0.02)


def test_the_heart_points_down_and_turns_anticlockwise(grid):
    """Its lobes, where most of its mass is, lie above the centre."""
    heart = coverage(grid)[2, -1, :, 0, 0]
    middles = np.arange(SIDE) + 0.5
    right = heart.sum(axis=1) @ middles / heart.sum(axis=(1, 2)) - FACTORS["x"][0]
    up = FACTORS["y"][0] - heart.sum(axis=2) @ middles / heart.sum(axis=(1, 2))
    np.testing.assert_allclose(np.degrees(np.arctan2(up, right)), 90 + np.array(FACTORS["rotation"]), atol=1)


def test_the_images_are_the_same_bytes_on_every_machine(drawn):
    images, factors = drawn
    digest = hashlib.sha256(images.tobytes() + factors.astype("<i8").tobytes()).hexdigest()
    assert digest == "70e35686312cc4254ce97d518a57dbb169a77eec3b37cbcad079cb7d6b042d21"
