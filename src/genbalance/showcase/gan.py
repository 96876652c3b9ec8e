"""What a person watches of a GAN as it trains."""

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance import pictures
from genbalance.data.pixels import SIGNED
from genbalance.evaluation.features import in_blocks
from genbalance.models.gan import Gan, Generator


class Showcase:
    """Digits drawn from the same latents, and of the same conditions, each time.

    Args:
        gan: says which; in order of class, where it is conditional.
        columns: of the grid, and its rows.
        noise: the stream that they are drawn from.
    """

    def __init__(self, gan: Gan, columns: int, noise: torch.Generator) -> None:
        count = columns**2
        wanted = torch.arange(count, device=noise.device) % gan.classes if gan.classes else None
        self._columns = columns
        self._shown = gan.draw_latents(count, noise), gan.draw_conditions(count, noise, wanted)

    def samples(self, generator: Generator) -> NDArray[np.uint8]:
        """A grid of samples."""
        return pictures.grid(SIGNED.to_uint8(in_blocks(generator, *self._shown))[:, 0].numpy(), self._columns)
