"""Ways through a latent space.

Shapes: latents [L] and points on a way [n, L]; of standard normal noise.
"""

import torch
from torch import Tensor

STRAIGHT = 1e-6  # sine of the angle below which both ends lie in one direction, or opposite ones


def slerp(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Points on the great circle from ``first`` to ``second``; ``shares`` [n] say how far along, from 0 to 1.

    White 2016 (arXiv:1609.04468): nearly all of N(0, I) lies near a sphere, which a straight line between two of its
    points leaves for where the model was never trained. Where the ends lie in one direction or opposite ones, there is
    no one great circle, and the line is taken.
    """
    a, b = first.double(), second.double()
    cosine = (a @ b / (a.norm() * b.norm()).clamp(min=torch.finfo(torch.float64).tiny)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    at = shares.double()[:, None]
    if angle.sin() < STRAIGHT:
        return torch.lerp(a, b, at).to(first.dtype)
    way: Tensor = (((1 - at) * angle).sin() * a + (at * angle).sin() * b) / angle.sin()
    return way.to(first.dtype)


def traversal(start: Tensor, latent: int, values: Tensor) -> Tensor:
    """``start`` with each of ``values`` [n] in the place of one latent."""
    way = start.repeat(len(values), 1)
    way[:, latent] = values.to(start.dtype)
    return way
