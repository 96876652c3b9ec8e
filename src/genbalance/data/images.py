"""Arrays of images in any of the usual forms as uint8, white on black.

All images come through here, those to train with and those to measure. What could be meant in two ways is refused, not
guessed; what is readable and yet doubtful is a warning of the caller's.
"""

from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pixels import UNIT
from genbalance.runtime.errors import UserError

TYPES = "whole numbers of 0 … 255, bool, or floats in [0, 1]"
SHAPES = "[n, S, S], [n, 1, S, S], [n, S, S, 1], three equal channels in place of one, or [n, S·S]"
BLOCK = 1024  # images converted at a time: bounds the memory
DIM = 63  # of 255: a brightest pixel at or below it may be white on another scale, such as 0 … 16

BLACK = np.zeros((1, 1, 1), np.uint8)
"""The reference of polarity where there is no other: white on black."""


def as_images(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Images uint8 [n, S, S] out of [n, S, S], [n, 1, S, S], [n, S, S, 1], [n, 3, S, S] or [n, S, S, 3] with three
    equal channels, or [n, S·S].

    Whole numbers of 0 … 255 stay as they are, in any type, floats included; False becomes 0 and True 255; floats in
    [0, 1] are rounded to 8 bits.

    Args:
        array: any.
        path: the file's name, for the messages.

    Raises:
        UserError: another shape or type, colours, values outside those ranges or NaN, integers that are all 0 and 1.
    """
    images = _square(array, path)
    match images.dtype.kind:
        case "b":
            return np.where(images, np.uint8(255), np.uint8(0))
        case "i" | "u":
            return _from_integers(images, path)
        case "f":
            return _from_floats(images, path)
    raise UserError(f"{path}: found values of type {images.dtype}; allowed: {TYPES}")


def doubts(images: NDArray[np.uint8], reference: NDArray[np.uint8]) -> Iterator[str]:
    """What makes readable images uint8 [n, S, S] doubtful beside those of ``reference`` [m, S, S], a sentence each."""
    if look_inverted(images, reference):
        yield (
            "the images look inverted: their border and their mean are nearer to those of inverted digits; digits are "
            "white on black here: invert the images with 255 − x"
        )
    if 0 < (brightest := int(images.max())) <= DIM:
        yield (
            f"the images look dim: their brightest pixel is {brightest} of 255; if {brightest} is white, multiply them "
            f"by 255 / {brightest}"
        )


def look_inverted(images: NDArray[np.uint8], reference: NDArray[np.uint8]) -> bool:
    """Whether images uint8 [n, S, S] look like negatives of ``reference`` [m, S, S].

    The rule: the mean level of the outermost ring of pixels and that of all pixels both lie more than twice as near to
    the reference's negative (255 minus its level) as to the reference. Noise around mid-grey is not inverted, nor is
    anything where the reference itself is about as bright as its negative.
    """
    return all(
        abs(level - (255 - expected)) < abs(level - expected) / 2
        for level, expected in zip(_brightness(images), _brightness(reference), strict=True)
    )


def _brightness(images: NDArray[np.uint8]) -> tuple[float, float]:
    """The mean level of the outermost ring of pixels, and of all."""
    ring = np.ones(images.shape[1:], bool)
    ring[1:-1, 1:-1] = False
    return float(images[:, ring].mean()), float(images.mean())


def _square(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """``array`` as [n, S, S]."""
    images = array
    if array.ndim == 4:
        images = _grey(array, path)
    elif array.ndim == 2 and array.shape[0] != array.shape[1]:  # which could be one image
        side = isqrt(array.shape[1])
        if side**2 == array.shape[1]:
            images = array.reshape(-1, side, side)
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise UserError(f"{path}: found the shape [{', '.join(map(str, array.shape))}]; allowed: {SHAPES}, grey")
    if images.size == 0:
        raise UserError(f"{path}: found no image; allowed: at least one")
    return images


def _grey(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """The first of one channel, or of three that are equal; the array itself where no axis has length one or three."""
    if 1 in (array.shape[1], array.shape[3]):
        return array[:, 0] if array.shape[1] == 1 else array[..., 0]
    colour_axes = [axis for axis in (3, 1) if array.shape[axis] == 3]
    for axis in colour_axes:
        first, *others = (array[:, index] if axis == 1 else array[..., index] for index in range(3))
        if all(_equal(first, other) for other in others):
            return first
    if colour_axes:
        raise UserError(
            f"{path}: found colours, the shape [{', '.join(map(str, array.shape))}] with channels that differ; "
            "allowed: grey, or three equal channels"
        )
    return array


def _equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return all(np.array_equal(*blocks) for blocks in zip(_blocks(a), _blocks(b), strict=True))


def _from_integers(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise UserError(f"{path}: found whole numbers of {low} … {high}; allowed: {TYPES}")
    if high == 1:
        raise UserError(f"{path}: found whole numbers of 0 … 1; allowed: 0 … 255; if 1 is white, multiply by 255")
    return np.array(images, np.uint8, order="C")  # a copy: the file may be mapped


def _from_floats(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():  # both are NaN where one pixel is
        raise UserError(f"{path}: found NaN or infinite values; allowed: floats in [0, 1]")
    levels = low >= 0 and 1 < high <= 255 and all(_are_whole(block) for block in _blocks(images))
    if not levels and (low < 0 or high > 1):
        if low > -0.1 and high < 1.1:  # a resizing's overshoot, a rounding
            advice = "clip them"
        elif low >= -1 and high <= 1:
            advice = "if −1 is black, take (x + 1) / 2"
        elif low >= 0 and high <= 255:
            advice = "if 255 is white, divide by 255"
        else:
            advice = "bring black to 0 and white to 1"
        raise UserError(f"{path}: found floats of {low:.8g} … {high:.8g}; allowed: floats in [0, 1]; {advice}")
    pixels = np.empty(images.shape, np.uint8)
    for start, block in zip(range(0, len(images), BLOCK), _blocks(images), strict=True):
        pixels[start : start + BLOCK] = block if levels else UNIT.to_uint8(block)
    return pixels


def _blocks(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))


def _are_whole(values: NDArray[Any]) -> bool:
    return bool((values == np.floor(values)).all())
