"""How typical a single image is."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance.evaluation.neighbours import Points, blocks, nearest

K = 3  # as in the paper
LARGEST = 1e6  # of a copy, whose score would be infinite


@dataclass(frozen=True)
class Realism:
    """The realism score against real images, which balls about ``centers`` [m, d] with ``radii`` [m] stand for."""

    centers: Points
    radii: NDArray[np.float64]

    @classmethod
    def of(cls, real: Points) -> "Realism":
        """Balls about the real images [n, d] that reach to their third nearest neighbour, without the larger half.

        Raises:
            UserError: there are fewer than four.
        """
        radii = nearest(real, real, K, same=True).distances[:, -1]
        small = radii <= np.median(radii)
        return cls(real[small], radii[small])

    def score(self, features: Points) -> NDArray[np.float64]:
        """The largest ratio of a ball's radius to the distance from its centre, for each of [n, d]; 1 and more: inside
        a ball.

        Kynkäänniemi et al. 2019 (arXiv:1904.06991), equation 3: balls in sparse regions, which are large, do not count.
        """
        squared = torch.from_numpy(np.square(self.radii))
        found = [(squared / distances).amax(dim=1) for _, distances in blocks(features, self.centers)]
        return torch.cat(found).sqrt().nan_to_num(LARGEST).clamp(max=LARGEST).numpy()
