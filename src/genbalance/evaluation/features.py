"""Features of images: those of the reference classifier, and how any network is applied to many images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data.pixels import Pixels
from genbalance.runtime.device import Uploaded, uploaded

BLOCK = 500  # images at a time: bounds the memory, and a fixed size keeps the bytes
VALUES = 2**21  # numbers of the images that a network takes or makes at a time; 500 grey ones of 64 × 64 have fewer


def block_of(most: int, values: int) -> int:
    """How many images at a time, ``most`` or fewer, where a network makes so many values of each."""
    return max(1, min(most, VALUES // values))


def in_blocks(function: Callable[..., Tensor], *inputs: Uploaded | None, values: int = 1) -> Tensor:
    """``function`` over ``inputs`` [n, …] block by block, without gradients; the results on the CPU, joined.

    Args:
        function: of blocks of the inputs.
        inputs: one that is None is left out: the labels of a model that takes none.
        values: how many numbers ``function`` makes of a row, where they are more than those of an input's row.
    """
    there = [given for given in inputs if given is not None]
    size = block_of(BLOCK, max(values, *(given[:1].numel() for given in there)))
    with torch.inference_mode():
        blocks = zip(*(given.split(size) for given in there), strict=True)
        return torch.cat([function(*block).cpu() for block in blocks])


Images = NDArray[np.uint8]


class Network(Protocol):
    """A classifier, as far as features need it."""

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [B, d]."""

    @property
    def head(self) -> torch.nn.Module:
        """Features to logits [B, classes]."""


@dataclass(frozen=True)
class Features:
    """What an extractor makes of n images: ``features`` [n, d] and class ``probabilities`` [n, classes], which are ones
    [n, 1] where it tells no classes apart."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def rows(self, which: NDArray[np.int64]) -> "Features":
        """Of some of the images."""
        return Features(self.features[which], self.probabilities[which])


class Extractor(Protocol):
    """What reads images."""

    def read(self, images: Images) -> Features:
        """Features of images uint8 [n, H, W(, 3)]."""


@dataclass(frozen=True)
class FeatureExtractor:
    """A classifier, the pixel range that it was trained on, and where it runs."""

    network: Network
    pixels: Pixels
    device: torch.device

    def read(self, images: Images) -> Features:
        """Features and class probabilities of images uint8 [n, H, W(, 3)]."""
        features = in_blocks(self.network.features, uploaded(images, self.pixels, self.device))
        with torch.inference_mode():
            probabilities = self.network.head(features.to(self.device)).softmax(dim=1).cpu()
        return Features(features.numpy(), probabilities.numpy())


@dataclass(frozen=True)
class WithoutClasses:
    """An extractor whose classes say nothing of these images: it was trained on others."""

    extractor: Extractor

    def read(self, images: Images) -> Features:
        """Its features of images uint8 [n, H, W(, 3)]."""
        return without_classes(self.extractor.read(images).features)


def without_classes(features: NDArray[np.float32]) -> Features:
    """Features [n, d] of images that are all of one class."""
    return Features(features, np.ones((len(features), 1), np.float32))
