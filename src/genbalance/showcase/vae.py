"""What a person watches of a VAE as it trains."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genbalance import pictures
from genbalance.data.pixels import UNIT
from genbalance.evaluation.features import in_blocks
from genbalance.models.vae import Vae


class Showcase:
    """Digits drawn from the same latents each time, and the same digits with their reconstructions.

    Args:
        noise: standard normal [n, L], out of which the samples are drawn.
        labels: what they are samples of [n], where the model is conditional.
        originals: uint8 images [m, S, S].
        columns: of either grid.
    """

    def __init__(self, noise: Tensor, labels: Tensor | None, originals: NDArray[np.uint8], columns: int) -> None:
        self._noise, self._labels, self._originals, self._columns = noise, labels, originals, columns

    def samples(self, model: Vae) -> NDArray[np.uint8]:
        """A grid of samples."""
        drawn = in_blocks(model.sample, self._noise, self._labels)
        return pictures.grid(UNIT.to_uint8(drawn)[:, 0].numpy(), self._columns)

    def reconstructions(self, rebuilt: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Rows of originals, each above the row of their reconstructions, which are the first of ``rebuilt``
        [≥ m, S, S], in [0, 1]."""
        columns = min(self._columns, len(self._originals))
        below = UNIT.to_uint8(rebuilt[: len(self._originals)])
        return pictures.grid(pictures.alternate_rows(self._originals, below, columns), columns)
