"""The check of range and polarity: arrays of images in any of the usual forms as uint8, white on black or not.

All images come through here, those to train with and those to measure. What could be meant in two ways is refused, not
guessed; what is readable and yet doubtful is for the caller to warn about.
"""

from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pixels import UNIT
from genbalance.errors import UserError

TYPES = "whole numbers of 0 … 255, bool, or floats in [0, 1]"
SHAPES = "[n, S, S], [n, 1, S, S], [n, S, S, 1], three equal channels in place of one, or [n, S·S]"
BLOCK = 1024  # images converted at a time: bounds the memory
DIM = 63  # of 255: a brightest pixel at or below it may be white on another scale, such as 0 … 16

BLACK = np.zeros((1, 1, 1), np.uint8)
"""The reference of polarity where there is no other: white on black."""


def as_images(found: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Images uint8 [n, S, S] out of [n, S, S], [n, 1, S, S], [n, S, S, 1], [n, 3, S, S] or [n, S, S, 3] with three
    equal channels, or [n, S·S].

    Whole numbers of 0 … 255 stay as they are, in any type, floats included; False becomes 0 and True 255; floats in
    [0, 1] are rounded to 8 bits.

    Args:
        found: any array.
        path: the file's name, for the messages.

    Raises:
        UserError: another shape or type, colours, values outside those ranges or NaN, integers that are all 0 and 1.
    """
    images = _square(found, path)
    match images.dtype.kind:
        case "b":
            return np.where(images, np.uint8(255), np.uint8(0))
        case "i" | "u":
            return _whole_numbers(images, path)
        case "f":
            return _fractions(images, path)
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


def _square(found: NDArray[Any], path: Path) -> NDArray[Any]:
    """``found`` as [n, S, S]."""
    images = found
    if found.ndim == 4:
        images = _grey(found, path)
    elif found.ndim == 2 and found.shape[0] != found.shape[1]:  # which could be one image
        side = isqrt(found.shape[1])
        if side**2 == found.shape[1]:
            images = found.reshape(-1, side, side)
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise UserError(f"{path}: found the shape [{', '.join(map(str, found.shape))}]; allowed: {SHAPES}, grey")
    if images.size == 0:
        raise UserError(f"{path}: found no image; allowed: at least one")
    return images


def _grey(found: NDArray[Any], path: Path) -> NDArray[Any]:
    """The first of one channel, or of three that are equal; as it came where there is no axis of one or three."""
    if 1 in (found.shape[1], found.shape[3]):
        return found[:, 0] if found.shape[1] == 1 else found[..., 0]
    of_colours = [axis for axis in (3, 1) if found.shape[axis] == 3]
    for axis in of_colours:
        first, *others = (found[:, index] if axis == 1 else found[..., index] for index in range(3))
        if all(_equal(first, other) for other in others):
            return first
    if of_colours:
        raise UserError(
            f"{path}: found colours, the shape [{', '.join(map(str, found.shape))}] with channels that differ; "
            "allowed: grey, or three equal channels"
        )
    return found


def _equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return all(np.array_equal(*blocks) for blocks in zip(_blocks(a), _blocks(b), strict=True))


def _whole_numbers(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise UserError(f"{path}: found whole numbers of {low} … {high}; allowed: {TYPES}")
    if high == 1:
        raise UserError(f"{path}: found whole numbers of 0 … 1; allowed: 0 … 255; if 1 is white, multiply by 255")
    return np.array(images, np.uint8, order="C")  # a copy: the file may be mapped


def _fractions(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():  # NaN comes through both
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
