"""Which pixels make a network say what it says: integrated gradients, and occlusion as a check of them.

Shapes: images [n, C, H, W] in the network's range; the network's ``score`` maps such images, and what else it takes of
each, to [n]; maps [n, C, H, W] in units of the score: above 0 where a pixel raises it.
"""

from collections.abc import Callable

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

STEPS = 128  # along the path from the baseline to the image
PATCHES = 7  # along the shorter side of an image, about

Score = Callable[..., Tensor]
Agreements = NDArray[np.float64]


def integrated_gradients(score: Score, images: Tensor, baseline: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
    """Sundararajan et al. 2017 (arXiv:1703.01365), equation 1: (x − x′) ∫₀¹ ∂F(x′ + α(x − x′)) / ∂x dα, where F is the
    score and x′ the baseline. A pixel that is as in the baseline has 0.

    Args:
        score: F.
        images: x.
        baseline: x′ [C, H, W], an image that stands for nothing.
        given: what the score takes beside each image, [n, …] each.

    Returns:
        The maps, and of each image [n] how far their sum is from F(x) − F(x′), which it would be for an integral
        without error (completeness).
    """
    gradients = IntegratedGradients(score)
    found = [  # image by image: the path of one is a batch
        gradients.attribute(
            images[row : row + 1],
            baseline[None],
            additional_forward_args=tuple(it[row : row + 1] for it in given) or None,
            n_steps=STEPS,
            return_convergence_delta=True,
        )
        for row in range(len(images))
    ]
    return torch.cat([maps.detach() for maps, _ in found]), torch.cat([error for _, error in found]).detach()


def occlusion(score: Score, images: Tensor, baseline: Tensor, *given: Tensor) -> Tensor:
    """What the score loses where a patch of an image is as in the baseline (Zeiler & Fergus 2014, arXiv:1311.2901): of
    each pixel what it loses by the patch, side by side with others, that the pixel is in.

    Args:
        score: of the images.
        images: whose patches are replaced.
        baseline: [C, H, W].
        given: what the score takes beside each image, [n, …] each.
    """
    side = patch_side(images)
    channels = images.shape[1]
    with torch.no_grad():
        lost: Tensor = Occlusion(score).attribute(
            images,
            (channels, side, side),
            strides=(channels, side, side),
            baselines=baseline[None],
            additional_forward_args=given or None,
        )
    return lost


def patch_side(images: Tensor) -> int:
    """Pixels of a patch of :func:`occlusion`, for images [n, C, H, W]."""
    return max(1, round(min(images.shape[2:]) / PATCHES))


def agreement(maps: Tensor, lost: Tensor, images: Tensor, baseline: Tensor) -> Agreements:
    """Pearson's correlation of integrated gradients, summed over each patch, and of what is lost by the patch: of each
    image [n], over its patches. Of a score that is linear in the pixels it is 1: both are w·(x − x′) over the patch.

    Patches that are as in the baseline are left out: both are 0 there whatever the score is. NaN where fewer than two
    patches are left, or where one of both does not vary.

    Args:
        maps: of :func:`integrated_gradients`.
        lost: of :func:`occlusion`.
        images: of which they are.
        baseline: [C, H, W].
    """
    side = patch_side(images)
    of_patches = _sums(maps, side)
    of_pixel = _sums(lost, side) / _sums(torch.ones_like(lost), side)  # all pixels of a patch have the same
    changed = _sums((images != baseline).to(maps.dtype), side) > 0
    found = []
    for gradients, losses, kept in zip(of_patches, of_pixel, changed, strict=True):
        first, second = (it[kept].double().cpu().numpy() for it in (gradients, losses))
        varies = len(first) > 1 and np.ptp(first) > 0 and np.ptp(second) > 0
        found.append(float(np.corrcoef(first, second)[0, 1]) if varies else np.nan)
    return np.array(found)


def _sums(maps: Tensor, side: int) -> Tensor:
    """Over patches and channels [n, patches]; those at the right and lower edge may be smaller."""
    total = maps.sum(dim=1, keepdim=True)
    return avg_pool2d(total, side, ceil_mode=True, divisor_override=1).flatten(1)
