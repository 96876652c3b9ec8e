"""The 1-nearest-neighbour two-sample test: do samples and real images mix?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.neighbours import Points, nearer, nearest
from genbalance.runtime.errors import UserError

Each = NDArray[np.float64]


@dataclass(frozen=True)
class TwoSample:
    """Whether the nearest neighbour of each ``real`` [n] and each ``generated`` [n] image is of its own kind: 1, 0, or
    ½ where one of each is equally near."""

    real: Each
    generated: Each

    @property
    def accuracy(self) -> float:
        """The share of all images whose nearest neighbour names their kind."""
        return float((self.real.mean() + self.generated.mean()) / 2)


def nearest_neighbour_test(real: Points, generated: Points) -> TwoSample:
    """The leave-one-out accuracy of the 1-nearest-neighbour classifier on two sets [n, d] of one size.

    Lopez-Paz & Oquab 2017 (arXiv:1610.06545); Xu et al. 2018 (arXiv:1806.07755). ½: they cannot be separated. 1: every
    image lies among its own kind. Below ½: samples sit on real images, which is what copies do.

    Raises:
        UserError: the sets differ in size, which moves the ½, or have fewer than two points.
    """
    if len(real) != len(generated):
        raise UserError(
            f"two-sample test: found {len(real)} real and {len(generated)} generated; allowed: equally many"
        )
    across = nearest(real, generated, 1).distances[:, 0], nearest(generated, real, 1).distances[:, 0]
    within = (nearest(points, points, 1, same=True).distances[:, 0] for points in (real, generated))
    return TwoSample(*(nearer(own, other) for own, other in zip(within, across, strict=True)))
