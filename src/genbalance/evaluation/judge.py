"""The pretrained classifier as the evaluation sees it, and the real images that samples are held against."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.compute import upload
from genbalance.data.pixels import Pixels
from genbalance.evaluation.features import in_blocks

Images = NDArray[np.uint8]


class Network(Protocol):
    """What a judge needs of a network."""

    def features(self, images: Tensor) -> Tensor:
        """Feature vectors [B, d]."""

    @property
    def head(self) -> torch.nn.Module:
        """Features to logits [B, classes]."""


@dataclass(frozen=True)
class Reading:
    """What the classifier makes of n images: ``features`` [n, 128] and class ``probabilities`` [n, classes]."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def rows(self, which: NDArray[np.int64]) -> "Reading":
        """Of some of the images."""
        return Reading(self.features[which], self.probabilities[which])


@dataclass(frozen=True)
class Judge:
    """A classifier, the pixel range that it was trained on, and where it runs."""

    network: Network
    pixels: Pixels
    device: torch.device

    def read(self, images: Images) -> Reading:
        """Features and class probabilities of images uint8 [n, S, S]."""
        features = in_blocks(self.network.features, upload(images, self.pixels, self.device))
        with torch.inference_mode():
            probabilities = self.network.head(features.to(self.device)).softmax(dim=1).cpu()
        return Reading(features.numpy(), probabilities.numpy())
