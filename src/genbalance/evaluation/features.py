"""The reference classifier's features of images, and how any network is applied to many images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data.pixels import Pixels
from genbalance.runtime.device import upload

BLOCK = 500  # images at a time: bounds the memory, and a fixed size keeps the bytes


def in_blocks(function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    """``function`` over ``inputs`` [n, …] block by block, without gradients; the results on the CPU, joined.

    An input that is None is left out: the labels of a model that takes none.
    """
    with torch.inference_mode():
        blocks = zip(*(given.split(BLOCK) for given in inputs if given is not None), strict=True)
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
    """What the classifier makes of n images: ``features`` [n, 128] and class ``probabilities`` [n, classes]."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def rows(self, which: NDArray[np.int64]) -> "Features":
        """Of some of the images."""
        return Features(self.features[which], self.probabilities[which])


@dataclass(frozen=True)
class FeatureExtractor:
    """A classifier, the pixel range that it was trained on, and where it runs."""

    network: Network
    pixels: Pixels
    device: torch.device

    def read(self, images: Images) -> Features:
        """Features and class probabilities of images uint8 [n, S, S]."""
        features = in_blocks(self.network.features, upload(images, self.pixels, self.device))
        with torch.inference_mode():
            probabilities = self.network.head(features.to(self.device)).softmax(dim=1).cpu()
        return Features(features.numpy(), probabilities.numpy())
