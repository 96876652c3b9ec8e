"""What both networks of a GAN are conditioned on: one of N conditions, clusters of the training images or classes."""

import torch
from torch import Tensor, nn

from genbalance.runtime.device import Uploaded

BLOCK = 1000  # images at a time: bounds the memory


class Conditions(nn.Module):
    """Which condition a real image has, and which one to draw a new image for.

    Buffers: ``centroids`` [N, C·H·W], pixels in [−1, 1]; ``shares`` [C, N], of each condition among the training images
    of a class, or [1, N] among all of them where nobody asks for a class. A real image has the condition of the nearest
    centroid of its class.
    """

    centroids: Tensor
    shares: Tensor

    def __init__(self, count: int, classes: int, pixels: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("centroids", torch.zeros(count, pixels))
        self.register_buffer("shares", torch.full((max(classes, 1), count), 1 / count))

    def set(self, centroids: Tensor, shares: Tensor) -> None:
        """Takes both over; the shapes are those of the buffers."""
        self.centroids.copy_(centroids)
        self.shares.copy_(shares)

    def of(self, images: Uploaded, labels: Tensor | None = None) -> Tensor:
        """Conditions [B] of real images [B, C, H, W], and of their ``labels`` [B] where there are classes."""
        blocks = zip(images.split(BLOCK), self._rows(labels, len(images)).split(BLOCK), strict=True)
        return torch.cat([self._nearest(block.flatten(1), rows) for block, rows in blocks])

    def _nearest(self, pixels: Tensor, rows: Tensor) -> Tensor:
        distances = self.centroids.square().sum(dim=1) - 2 * pixels @ self.centroids.T  # but for ‖x‖²
        return distances.masked_fill(self.shares[rows] == 0, torch.inf).argmin(dim=1)

    def draw(self, count: int, noise: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Conditions [count] for new images, drawn with their shares among images of the class that ``labels`` [count]
        ask for."""
        uniform = torch.rand(count, generator=noise, device=noise.device)
        # the inverse of the distribution function: of all ways to draw, one that is deterministic on every device
        upper = self.shares.cpu().cumsum(dim=1).to(uniform.device)[self._rows(labels, count)]
        drawn = (uniform[:, None] >= upper).sum(dim=1)
        last = (self.shares > 0).long().cumsum(dim=1).argmax(dim=1)  # where rounding leaves the sum below 1
        return torch.minimum(drawn, last[self._rows(labels, count)])

    def _rows(self, labels: Tensor | None, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.int64, device=self.shares.device) if labels is None else labels
