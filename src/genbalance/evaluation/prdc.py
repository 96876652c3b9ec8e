"""Precision, recall, density and coverage: do samples lie where real images lie, and real images where samples lie?"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.evaluation.neighbours import TIE, Points, blocks, nearest

Each = NDArray[np.float64]


@dataclass(frozen=True)
class Prdc:
    """The values behind the four metrics, which are their means, image by image.

    ``precision`` [m] and ``density`` [m] belong to the samples, ``recall`` [n] and ``coverage`` [n] to the real images.
    """

    precision: Each
    recall: Each
    density: Each
    coverage: Each


def prdc(real: Points, generated: Points, k: int) -> Prdc:
    """Precision, recall, density and coverage of samples [m, d] against real images [n, d].

    A set's manifold is the union of balls about its points that reach to their k-th nearest neighbour in the set.

    - precision: the share of samples inside the real manifold; recall: of real images inside the samples' manifold
      (Kynkäänniemi et al. 2019, arXiv:1904.06991, equation 2).
    - density: in how many real balls a sample lies, over k; coverage: the share of real balls that hold a sample
      (Naeem et al. 2020, arXiv:2002.09797).

    A model that drops modes loses recall and coverage and keeps precision; one that adds noise loses precision and
    density. All lie in [0, 1] but density, which has no upper end; for real images
    against others it is near 1. A ball's surface is outside: copies of the real images have density 1, and no more.

    Raises:
        UserError: a set has no more than k points.
    """
    # a copy of a point on a ball's surface lies on it too, and not inside, whichever way its distance was rounded
    radii_real, radii_generated = (
        torch.from_numpy(np.square(nearest(points, points, k, same=True).distances[:, -1]) * (1 - 2 * TIE))
        for points in (real, generated)
    )
    precision: list[Tensor] = []
    density: list[Tensor] = []
    inside_generated = torch.zeros(len(real), dtype=torch.bool)
    holds_sample = torch.zeros(len(real), dtype=torch.bool)
    for first, squared in blocks(generated, real):
        in_ball = squared < radii_real
        density.append(in_ball.sum(dim=1).double() / k)
        precision.append(in_ball.any(dim=1))
        holds_sample |= in_ball.any(dim=0)
        inside_generated |= (squared < radii_generated[first : first + len(squared), None]).any(dim=0)
    return Prdc(
        precision=torch.cat(precision).double().numpy(),
        recall=inside_generated.double().numpy(),
        density=torch.cat(density).numpy(),
        coverage=holds_sample.double().numpy(),
    )
