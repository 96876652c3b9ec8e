"""How near a reconstruction comes to its original, image by image. Images [n, H, W(, 3)], pixels in [0, 1]."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, pad

from genbalance.data import arrays
from genbalance.data.pixels import UNIT
from genbalance.evaluation.features import BLOCK, FeatureExtractor, Features, block_of
from genbalance.evaluation.frechet import frechet_distance

WINDOW = 5  # pixels to either side
C1, C2 = 0.01**2, 0.03**2  # of equation 13, for pixels in [0, 1]

Images = NDArray[np.float32]
Each = NDArray[np.float64]


def squared_error(originals: Images, reconstructions: Images) -> Each:
    """Of each image the mean over pixels of (x − x̂)²: [n]."""
    errors = np.square(originals.astype(np.float64) - reconstructions)
    means: Each = errors.mean(axis=tuple(range(1, errors.ndim)))
    return means


def peak_signal_to_noise(originals: Images, reconstructions: Images) -> Each:
    """PSNR of each image in dB, −10·log₁₀ of its mean squared error (peak 1): [n]; an error below 1e-10 counts as
    1e-10, so at most 100 dB."""
    decibels: Each = -10 * np.log10(squared_error(originals, reconstructions).clip(min=1e-10))
    return decibels


def structural_similarity(originals: Images, reconstructions: Images) -> Each:
    """SSIM of each image (Wang et al. 2004, equation 13), mean over the pixels: [n]; 1 for equal images.

    The window is a Gaussian of 11 pixels with σ = 1.5, the borders are mirrored; images of at least 6 pixels a side. Of
    colours it is the mean of the three channels'.
    """
    window = torch.exp(-(torch.arange(-WINDOW, WINDOW + 1.0) / 1.5).square() / 2)
    window /= window.sum()
    channels = originals.shape[3] if originals.ndim == 4 else 1
    x, y = (pad(_planes(images), [WINDOW] * 4, mode="reflect") for images in (reconstructions, originals))
    blurred = conv2d(torch.cat([x, y, x * x, y * y, x * y]), torch.outer(window, window)[None, None])
    mean_x, mean_y, square_x, square_y, product = blurred.split(len(x))
    variances = (square_x - mean_x.square()).clamp(min=0) + (square_y - mean_y.square()).clamp(min=0)
    covariance = product - mean_x * mean_y
    means = mean_x.square() + mean_y.square()
    ratio = (2 * mean_x * mean_y + C1) * (2 * covariance + C2) / ((means + C1) * (variances + C2))
    each: Each = ratio.view(len(originals), channels, -1).mean(dim=2).double().mean(dim=1).numpy()
    return each


def _planes(images: Images) -> torch.Tensor:
    """Each channel of each image as one of its own, [n · C, 1, H, W]."""
    planes = torch.from_numpy(images)
    if planes.dim() == 4:
        planes = planes.permute(0, 3, 1, 2).flatten(0, 1)
    return planes[:, None].contiguous()


def same_class(originals: Features, reconstructions: Features) -> NDArray[np.bool_]:
    """Whether the classifier reads the same class before and after: [n]."""
    same: NDArray[np.bool_] = originals.probabilities.argmax(axis=1) == reconstructions.probabilities.argmax(axis=1)
    return same


SCORES = {"mse": squared_error, "psnr": peak_signal_to_noise, "ssim": structural_similarity}


@dataclass(frozen=True)
class Reconstructions:
    """``images`` uint8, the classifier's features of the originals ``before`` and of the images ``after``,
    and under ``each`` the value of each image [n]: ``mse``, ``psnr`` in dB, ``ssim``, ``classifier_agreement``."""

    images: NDArray[np.uint8]
    before: Features
    after: Features
    each: dict[str, NDArray[np.float64] | NDArray[np.bool_]]

    @property
    def frechet_distance(self) -> float:
        """Of the reconstructions' features to the originals'."""
        return frechet_distance(self.after.features, self.before.features)


def measure_reconstructions(
    originals: NDArray[np.uint8], reconstructed: Callable[[slice], Images], extractor: FeatureExtractor
) -> Reconstructions:
    """Compares reconstructions with ``originals`` [n, H, W(, 3)], 0 … 255, block by block.

    Args:
        originals: at least one.
        reconstructed: makes the reconstructions, in [0, 1], of some rows of the originals.
        extractor: the classifier.
    """
    images = arrays.empty(originals.shape)
    scores: dict[str, list[Each]] = {name: [] for name in SCORES}
    size = block_of(BLOCK, originals[0].size)
    for start in range(0, len(originals), size):
        rows = slice(start, start + size)
        found, pixels = reconstructed(rows), UNIT.encode(originals[rows])
        images[rows] = UNIT.to_uint8(found)
        for name, score in SCORES.items():
            scores[name].append(score(pixels, found))
    before, after = extractor.read(originals), extractor.read(images)
    each: dict[str, NDArray[np.float64] | NDArray[np.bool_]] = {
        name: np.concatenate(values) for name, values in scores.items()
    }
    return Reconstructions(images, before, after, each | {"classifier_agreement": same_class(before, after)})
