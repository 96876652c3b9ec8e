"""How near a reconstruction comes to its original, image by image. Images [n, S, S], pixels in [0, 1]."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from genbalance.evaluation.confidence import Bootstrap
from genbalance.evaluation.judge import Reading

Images = NDArray[np.float32]
Each = NDArray[np.float64]


def squared_error(originals: Images, reconstructions: Images) -> Each:
    """Of each image the mean over pixels of (x − x̂)²: [n]."""
    errors: Each = np.square(originals.astype(np.float64) - reconstructions).mean(axis=(1, 2))
    return errors


def peak_signal_to_noise(originals: Images, reconstructions: Images) -> Each:
    """PSNR of each image in dB, −10·log₁₀ of its mean squared error (peak 1): [n]; an error below 1e-10 counts as
    1e-10, so at most 100 dB."""
    decibels: Each = -10 * np.log10(squared_error(originals, reconstructions).clip(min=1e-10))
    return decibels


def structural_similarity(originals: Images, reconstructions: Images) -> Each:
    """SSIM (Wang et al. 2004) of each image with its Gaussian window of 11 pixels and σ = 1.5: [n]; 1 for equal images.

    Borders are mirrored; images of at least 6 pixels.
    """
    a, b = (torch.from_numpy(images)[:, None] for images in (reconstructions, originals))
    values = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    return values.double().numpy()  # type: ignore[union-attr]


def same_class(originals: Reading, reconstructions: Reading) -> NDArray[np.bool_]:
    """Whether the classifier reads the same class before and after: [n]."""
    same: NDArray[np.bool_] = originals.probabilities.argmax(axis=1) == reconstructions.probabilities.argmax(axis=1)
    return same


def compare(
    originals: Images, reconstructions: Images, before: Reading, after: Reading, bootstrap: Bootstrap
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """``mse``, ``psnr`` in dB, ``ssim`` and ``classifier_agreement``, means over the images, and their intervals."""
    each = {
        "mse": squared_error(originals, reconstructions),
        "psnr": peak_signal_to_noise(originals, reconstructions),
        "ssim": structural_similarity(originals, reconstructions),
        "classifier_agreement": same_class(before, after),
    }
    means = {name: float(values.mean()) for name, values in each.items()}
    return means, {name: bootstrap.mean(values) for name, values in each.items()}
