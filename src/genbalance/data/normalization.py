"""Mean and standard deviation of pixels, the same digits of them on every machine."""

import math

import numpy as np
from numpy.typing import NDArray

from genbalance.errors import UserError


def measure(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and (population) standard deviation over all pixels of uint8 images, in units of [0, 1].

    The sums are exact integers out of the histogram, so that no order of addition can change the result.

    Raises:
        UserError: all pixels are equal, which nothing can be learned from.
    """
    counts = [int(count) for count in np.bincount(images.ravel(), minlength=256)]
    n = sum(counts)
    first = sum(level * count for level, count in enumerate(counts))
    second = sum(level * level * count for level, count in enumerate(counts))
    variance = n * second - first * first
    if variance == 0:
        raise UserError(f"training images: every pixel is {images.flat[0]}; give images that show something")
    return first / n / 255, math.sqrt(variance) / n / 255
