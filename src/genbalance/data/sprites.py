"""Sprites: small images of which every factor is known, drawn here."""

import math

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels
FINE = 8  # points a pixel side at which an outline is sampled
RADIUS = 8.0  # pixels: of the circle around the largest shape
FIRST, STEP = 8.5, 3  # pixels: the first place of a centre, and from one to the next
CIRCLE = 1.44  # of the circle around the heart, in its equation's unit

COLOURS = {
    "blue": (64, 96, 255),
    "violet": (160, 64, 224),
    "red": (240, 48, 64),
    "orange": (255, 144, 32),
    "yellow": (255, 240, 80),
}
FACTORS: dict[str, tuple[str | float, ...]] = {
    "shape": ("square", "ellipse", "heart"),
    "scale": (0.5, 0.667, 0.833, 1.0),
    "rotation": (0, 18, 36, 54, 72),
    "x": tuple(FIRST + STEP * place for place in range(6)),
    "y": tuple(FIRST + STEP * place for place in range(6)),
    "colour": tuple(COLOURS),
}
"""The values of each factor, in the order of the factors' columns: scale as a share of the largest, rotation in degrees
anticlockwise, x and y of the centre in pixels from the left and from the top. The classes are the shapes."""

Mask = NDArray[np.int64]


def sprites() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Every combination of the values of :data:`FACTORS` once: one shape of one colour on black.

    The idea is that of dSprites (Matthey et al. 2017, https://github.com/google-deepmind/dsprites-dataset): 737,280
    grey images of 64 × 64. The square looks the same after a quarter turn, the ellipse after half a turn, the heart
    after a whole one, and all rotations are below a quarter turn: no two are equivalent.

    A pixel has the colour times the share of its 8 × 8 points that lie within the shape, rounded half up in whole
    numbers. That follows from sums, differences and products of float64 alone, which IEEE 754 defines to the last
    bit; sines and cosines, whose last bit depends on the machine, are rounded to six decimals. So the images are
    the same bytes everywhere. Centres are whole pixels apart: a step in x or y moves an image's pixels unchanged.

    Returns:
        Images uint8 [10800, 32, 32, 3] and their factors int64 [10800, 6]: for each column of :data:`FACTORS` the place
        of the value there. Rows are ordered by shape, then scale and so on.
    """
    counts = [len(values) for values in FACTORS.values()]
    colours = np.array(list(COLOURS.values()))
    images = np.empty((*counts, SIDE, SIDE, 3), np.uint8)
    for shape, scale, rotation in np.ndindex(*counts[:3]):
        mask = _coverage(shape, float(FACTORS["scale"][scale]), float(FACTORS["rotation"][rotation]))
        for x, y in np.ndindex(*counts[3:5]):
            shares = np.roll(mask, (STEP * y, STEP * x), axis=(0, 1))[:, :, None]
            images[shape, scale, rotation, x, y] = (shares * colours[:, None, None] + FINE**2 // 2) // FINE**2
    factors = np.indices(counts, dtype=np.int64).reshape(len(counts), -1).T
    return images.reshape(-1, SIDE, SIDE, 3), np.ascontiguousarray(factors)


def _coverage(shape: int, scale: float, rotation: float) -> Mask:
    """How many points of each pixel [32, 32] lie within a shape whose centre is at the first place."""
    places = (np.arange(SIDE * FINE) + 0.5) / FINE - FIRST
    right, up = places[None, :] / (scale * RADIUS), -places[:, None] / (scale * RADIUS)
    cos, sin = (round(turn(math.radians(rotation)), 6) for turn in (math.cos, math.sin))
    inside = (_square, _ellipse, _heart)[shape](cos * right + sin * up, cos * up - sin * right)
    points: Mask = inside.reshape(SIDE, FINE, SIDE, FINE).sum(axis=(1, 3))
    return points


# within a circle of radius 1: whether points, u to the right and v up, lie in a shape


def _square(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (u * u <= 0.5) & (v * v <= 0.5)


def _ellipse(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Twice as wide as high."""
    return u * u + 4.0 * (v * v) <= 1.0


def _heart(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(x² + y² − 1)³ ≤ x²·y³."""
    x, y = CIRCLE * u, CIRCLE * v
    ring = x * x + y * y - 1.0
    return ring * ring * ring <= x * x * (y * y * y)
