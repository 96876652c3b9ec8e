"""How near a reconstruction comes to its original. Images [n, S, S], pixels in [0, 1]."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from genbalance.evaluation.judge import Reading

Images = NDArray[np.float32]


def mean_squared_error(originals: Images, reconstructions: Images) -> float:
    """Mean over images and pixels of (x − x̂)²."""
    return float(np.square(originals.astype(np.float64) - reconstructions).mean())


def peak_signal_to_noise(originals: Images, reconstructions: Images) -> float:
    """PSNR in dB, −10·log₁₀ of each image's mean squared error (peak 1), mean over images; an error below 1e-10 counts
    as 1e-10, so at most 100 dB."""
    errors = np.square(originals.astype(np.float64) - reconstructions).mean(axis=(1, 2))
    return float(-10 * np.log10(errors.clip(min=1e-10)).mean())


def structural_similarity(originals: Images, reconstructions: Images) -> float:
    """SSIM (Wang et al. 2004) with its Gaussian window of 11 pixels and σ = 1.5, mean over images; 1 for equal images.

    Borders are mirrored; images of at least 6 pixels.
    """
    a, b = (torch.from_numpy(images)[:, None] for images in (reconstructions, originals))
    value = structural_similarity_index_measure(a, b, data_range=1.0)
    return float(value)  # type: ignore[arg-type]


def compare(originals: Images, reconstructions: Images) -> dict[str, float]:
    """``mse``, ``psnr`` in dB and ``ssim``."""
    return {
        "mse": mean_squared_error(originals, reconstructions),
        "psnr": peak_signal_to_noise(originals, reconstructions),
        "ssim": structural_similarity(originals, reconstructions),
    }


def agreement(originals: Reading, reconstructions: Reading) -> float:
    """The share of images that the classifier reads as the same class before and after."""
    return float((originals.probabilities.argmax(axis=1) == reconstructions.probabilities.argmax(axis=1)).mean())
