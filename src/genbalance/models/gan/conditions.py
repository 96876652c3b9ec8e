"""What both networks of a GAN are conditioned on: one of N conditions, clusters of the training images or classes."""

import torch
from torch import Tensor, nn

from genbalance.runtime.device import Uploaded
from genbalance.runtime.rng import GOLDEN

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
        ask for, and evenly: among any n consecutive images of a class each condition has its share of n, but for a few.

        Each one alone has its share as probability. Together they follow multiples of the golden ratio from a random
        start, modulo 1, of which any consecutive ones lie evenly in [0, 1) (a Kronecker sequence: Niederreiter 1992).
        """
        rows = self._rows(labels, count)
        start = torch.rand(len(self.shares), generator=noise, device=noise.device, dtype=torch.float64)
        points = (start[rows] + GOLDEN * _places(rows).double()) % 1
        # the inverse of the distribution function: of all ways to draw, one that is deterministic on every device;
        # the functions of all rows one after the other, each from its row's number up
        upper = self.shares.cpu().double().cumsum(dim=1).clamp(max=1) + torch.arange(len(self.shares))[:, None]
        drawn = torch.searchsorted(upper.flatten().to(points.device), rows + points, right=True)
        last = (self.shares > 0).long().cumsum(dim=1).argmax(dim=1)  # where rounding leaves the sum below 1
        return torch.minimum(drawn - rows * self.shares.shape[1], last[rows])

    def _rows(self, labels: Tensor | None, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.int64, device=self.shares.device) if labels is None else labels


def _places(rows: Tensor) -> Tensor:
    """The place of each of ``rows`` [n] among those that equal it, from 0, in their order: [n]."""
    order = rows.argsort(stable=True)
    sorted_rows = rows[order]
    places = torch.empty_like(rows)
    places[order] = torch.arange(len(rows), device=rows.device) - torch.searchsorted(sorted_rows, sorted_rows)
    return places
