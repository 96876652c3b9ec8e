"""Arrays of images in any of the usual forms as uint8, grey or in colour, of the size that is asked for.

All images come through here, those to train with and those to measure. What could be meant in two ways is refused, not
guessed; what is readable and yet doubtful is a warning of the caller's.
"""

from collections.abc import Callable, Iterator, Sequence
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genbalance.data import arrays
from genbalance.data.pixels import UNIT
from genbalance.params import MAX_SIDE, MIN_SIDE
from genbalance.runtime.errors import UserError

Channels = Literal["auto", 1, 3]
"""auto: grey where all images are, else colour; 1: grey, colours as their luma; 3: colour."""
Size = int | Sequence[int] | None
"""Pixels a side, or [height, width]; None: as the images are."""
Pixels = NDArray[np.uint8]

TYPES = "whole numbers of 0 … 255, bool, or floats in [0, 1]"
SHAPES = "[n, H, W], [n, H, W, 1 or 3], [n, 1 or 3, H, W], or [n, S·S]"
CHANNELS = (1, 3)  # how many an image can have
LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601: 0.299 R + 0.587 G + 0.114 B, in units of 2⁻¹⁶ as Pillow's
DIM = 63  # of 255: a brightest pixel at or below it may be white on another scale, such as 0 … 16

BLACK = np.zeros((1, 1, 1), np.uint8)
"""The reference of polarity where there is no other: white on black."""


def as_images(array: NDArray[Any], path: Path, channels: Channels = "auto") -> Pixels:
    """Images uint8 [n, H, W], or [n, H, W, 3] in colour, out of [n, H, W], [n, H, W, 1 or 3], [n, 1 or 3, H, W], or
    [n, S·S], a square image a row.

    Whole numbers of 0 … 255 stay as they are, in any type, floats included; False becomes 0 and True 255; floats in
    [0, 1] are rounded to 8 bits. Three channels that are equal in all images are grey, unless ``channels`` is 3.

    Args:
        array: any.
        path: the file's name, for the messages.
        channels: what is wanted.

    Raises:
        UserError: another shape or type, a shape that can be read in two ways, values outside those ranges or NaN,
            integers that are all 0 and 1.
    """
    images = channels_last(array, path)
    match images.dtype.kind:
        case "b":
            levels = _converted(images, lambda block: np.where(block, np.uint8(255), np.uint8(0)))
        case "i" | "u":
            check_levels(images, path)
            levels = _converted(images, lambda block: block)  # a copy: the file may be mapped
        case "f":
            levels = _from_floats(images, path)
        case _:
            raise UserError(f"{path}: found values of type {images.dtype}; allowed: {TYPES}")
    (found,) = conform([levels], None, channels)
    return found


def conform(parts: Sequence[Pixels], size: Size, channels: Channels) -> list[Pixels]:
    """The images of each part, [n, H, W] or [n, H, W, 3], of one size and all grey or all in colour; what is so already
    is handed back as it is.

    Args:
        parts: of one data set: its training and its test images.
        size: each image is resized as `fitted` does; None: it stays as it is.
        channels: auto: colour unless every image of every part is grey.
    """
    if channels == "auto":
        channels = 1 if all(is_grey(part) for part in parts) else 3
    # before resizing, which then has fewer channels to do; a grey image becomes a coloured one afterwards
    parts = [luma(part) if channels == 1 else part for part in parts]
    if size is not None:
        parts = [_all_fitted(part, sides(size)) for part in parts]
    return [in_colour(part) if channels == 3 else part for part in parts]


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """The image resized by area so that the shorter side fits, and cut to its middle.

    Each pixel is the mean of the area that it covers where the factor is a whole number, and weighed by Pillow's
    Hamming filter where it is none; an image that is too small is enlarged bilinearly.
    """
    factor = min(image.height / height, image.width / width)
    kinds = Image.Resampling
    method = kinds.BILINEAR if factor < 1 else kinds.BOX if factor.is_integer() else kinds.HAMMING
    return image if image.size == (width, height) else ImageOps.fit(image, (width, height), method)


def _all_fitted(images: Pixels, size: tuple[int, int]) -> Pixels:
    if images.shape[1:3] == size:
        return images
    resized = arrays.empty((len(images), *size, *images.shape[3:]))
    for number, image in enumerate(images):
        resized[number] = np.asarray(fitted(Image.fromarray(image), *size))
    return resized


def is_grey(images: Pixels) -> bool:
    """Whether images have one channel, or three that are equal throughout."""
    return images.ndim == 3 or all(
        bool((images[block][..., :2] == images[block][..., 1:]).all()) for block in arrays.blocks(images)
    )


def luma(images: Pixels) -> Pixels:
    """Grey levels [n, H, W] of images, to the last digit those of Pillow's ``convert("L")``; of three equal channels
    one of them."""
    if images.ndim == 3:
        return images
    grey = arrays.empty(images.shape[:3])
    for block in arrays.blocks(images):
        grey[block] = (images[block] @ LUMA + 2**15) >> 16
    return grey


def in_colour(images: Pixels) -> Pixels:
    """Images [n, H, W, 3], a grey one with three equal channels."""
    if images.ndim == 4:
        return images
    coloured = arrays.empty((*images.shape, 3))
    coloured[...] = images[..., None]
    return coloured


def doubts(images: Pixels, reference: Pixels | None, what: str = "the training images") -> Iterator[str]:
    """What makes readable images uint8 [n, H, W(, 3)] doubtful beside those of ``reference``, which the messages call
    ``what``, a sentence each; without a reference only what they show by themselves."""
    if reference is not None and look_inverted(images, reference):
        yield (
            f"the images look inverted: their border and their mean are nearer to the negatives of {what} than to "
            f"{what}; if they are negatives, invert them with 255 − x"
        )
    if 0 < (brightest := int(images.max())) <= DIM:
        yield (
            f"the images look dim: their brightest pixel is {brightest} of 255; if {brightest} is white, multiply them "
            f"by 255 / {brightest}"
        )


def look_inverted(images: Pixels, reference: Pixels) -> bool:
    """Whether images uint8 [n, H, W(, 3)] look like negatives of ``reference``.

    The rule: the mean level of the outermost ring of pixels and that of all pixels both lie more than twice as near to
    the reference's negative (255 minus its level) as to the reference. Noise around mid-grey is not inverted, nor is
    anything where the reference itself is about as bright as its negative.
    """
    return all(
        abs(level - (255 - expected)) < abs(level - expected) / 2
        for level, expected in zip(_brightness(images), _brightness(reference), strict=True)
    )


def _brightness(images: Pixels) -> tuple[float, float]:
    """The mean level of the outermost ring of pixels, and of all; the sums are exact."""
    ring = np.ones(images.shape[1:3], bool)
    ring[1:-1, 1:-1] = False
    border = whole = 0
    for block in arrays.blocks(images):
        border += int(images[block][:, ring].sum(dtype=np.int64))
        whole += int(images[block].sum(dtype=np.int64))
    values = images.size // ring.size  # of images and channels
    return border / (values * int(ring.sum())), whole / images.size


def check_sides(images: NDArray[Any], size: Size, path: Path) -> None:
    """Refuses images [n, H, W(, 3)] that nothing can be trained on in the ``size`` that they will have.

    Raises:
        UserError: a side is shorter than 8 pixels, or longer than 128 and stays so.
    """
    height, width = images.shape[1:3]
    found = f"{path}: found images of {height} × {width} pixels"
    if min(height, width) < MIN_SIDE:
        raise UserError(f"{found}; allowed: at least {MIN_SIDE} × {MIN_SIDE}")
    if size is None and max(height, width) > MAX_SIDE:
        raise UserError(f"{found} with data.size = original; allowed: {MIN_SIDE} … {MAX_SIDE} a side; set data.size")


def check_levels(images: NDArray[Any], path: Path) -> None:
    """Refuses whole numbers that are no levels of 0 … 255.

    Raises:
        UserError: some are below 0 or above 255, or the largest is 1: white may then be 1 or 255.
    """
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise UserError(f"{path}: found whole numbers of {low} … {high}; allowed: {TYPES}")
    if high == 1:
        raise UserError(f"{path}: found whole numbers of 0 … 1; allowed: 0 … 255; if 1 is white, multiply by 255")


def channels_last(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """A view of ``array``, in a form that :func:`as_images` takes, as [n, H, W] or [n, H, W, 3].

    Raises:
        UserError: another shape, or one that can be read in two ways.
    """
    found = f"{path}: found the shape [{', '.join(map(str, array.shape))}]"
    images = array
    if array.ndim == 4:
        images = _one_or_three_channels(array, found)
    elif array.ndim == 2 and array.shape[0] != array.shape[1]:  # which could be one image
        side = isqrt(array.shape[1])
        if side**2 == array.shape[1]:
            images = array.reshape(-1, side, side)
    elif array.ndim == 3 and array.shape[2] in CHANNELS and array.shape[1] != array.shape[2]:
        raise UserError(
            f"{found}, which is one image [H, W, C] or many narrow ones; allowed: {SHAPES}; of one image take "
            "array[None]"
        )
    if images.ndim < 3:
        raise UserError(f"{found}; allowed: {SHAPES}")
    if images.size == 0:
        raise UserError(f"{path}: found no image; allowed: at least one")
    return images


def _one_or_three_channels(array: NDArray[Any], found: str) -> NDArray[Any]:
    """[n, H, W] or [n, H, W, 3] out of four dimensions."""
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if first and last and array.shape[1:] != (1, 1, 1):
        raise UserError(f"{found}, whose channels may stand first or last; allowed: {SHAPES}, one of them alone")
    if not first and not last:
        raise UserError(f"{found}; allowed: {SHAPES}")
    images = array if last else np.moveaxis(array, 1, 3)
    return images[..., 0] if images.shape[3] == 1 else images


def _from_floats(images: NDArray[Any], path: Path) -> Pixels:
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():  # both are NaN where one pixel is
        raise UserError(f"{path}: found NaN or infinite values; allowed: floats in [0, 1]")
    levels = low >= 0 and 1 < high <= 255 and all(_are_whole(images[block]) for block in arrays.blocks(images))
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
    return _converted(images, lambda block: block if levels else UNIT.to_uint8(block))


def _converted(images: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[Any]]) -> Pixels:
    """What ``convert`` makes of the images, block by block: they may be a mapped file, larger than the memory."""
    levels = arrays.empty(images.shape)
    for block in arrays.blocks(images):
        levels[block] = convert(images[block])
    return levels


def _are_whole(values: NDArray[Any]) -> bool:
    return bool((values == np.floor(values)).all())
