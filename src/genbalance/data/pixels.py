"""Pixels: the map from stored ones to each network's range and back, and their mean and standard deviation.

Images are uint8 arrays of NumPy or tensors of torch, of any shape; each method answers in kind. torch is not imported
here: only operations that both know are used, so that a program without torch can use this module.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import arrays
from genbalance.runtime.errors import UserError


@dataclass(frozen=True)
class Pixels:
    """The affine map x = (u/255 - center) / spread of pixels u in 0 … 255.

    Division by 255 comes first because it is exact at both ends, so that 255 becomes 1 and not its float32 neighbour.
    """

    center: float
    spread: float

    def encode(self, pixels: Any) -> Any:
        """float32 in the network's range, out of uint8 pixels."""
        # np.float32 and not a Python float, which would make float64 of NumPy's uint8
        return (pixels / np.float32(255) - np.float32(self.center)) / np.float32(self.spread)

    def decode(self, x: Any) -> Any:
        """Intensities in [0, 1] out of the network's range; what lies beyond is clipped."""
        return (x * self.spread + self.center).clip(0, 1)

    def to_uint8(self, x: Any) -> Any:
        """Pixels 0 … 255 out of the network's range, rounded and clipped: the inverse of `encode`."""
        levels = (self.decode(x) * 255).round()
        return levels.astype(np.uint8) if isinstance(levels, np.ndarray) else levels.byte()


UNIT = Pixels(center=0.0, spread=1.0)
"""[0, 1], of a sigmoid or of Bernoulli probabilities."""

SIGNED = Pixels(center=0.5, spread=0.5)
"""[-1, 1], of a tanh."""


def standardized(mean: float, std: float) -> Pixels:
    """Mean 0 and standard deviation 1 over the training pixels, whose ``mean`` and ``std`` in [0, 1] these are."""
    return Pixels(center=mean, spread=std)


def measure(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and (population) standard deviation over all pixels of uint8 images, in units of [0, 1].

    The sums are exact integers out of the histogram, so that no order of addition can change the result.

    Raises:
        UserError: all pixels are equal, which nothing can be learned from.
    """
    histogram = np.zeros(256, np.int64)
    for block in arrays.blocks(images):
        histogram += np.bincount(images[block].ravel(), minlength=256)
    counts = histogram.tolist()
    n = sum(counts)
    first = sum(level * count for level, count in enumerate(counts))
    second = sum(level * level * count for level, count in enumerate(counts))
    variance = n * second - first * first
    if variance == 0:
        raise UserError(f"training images: every pixel is {images.flat[0]}; give images that show something")
    return first / n / 255, math.sqrt(variance) / n / 255
