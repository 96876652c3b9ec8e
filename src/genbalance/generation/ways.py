"""Ways through a latent space.

Shapes: latents [L] and points on a way [n, L]; of standard normal noise. ``told`` are a model's conditions or labels,
None where it takes none.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from genbalance.generation.sampler import Images, Sampler, Told

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


def interpolation(sampler: Sampler, ends: Tensor, told: Told, steps: int) -> Images:
    """What lies between two points ``ends`` [2, L], of which the model is ``told`` [2]: [steps, S, S]."""
    shares = torch.linspace(0, 1, steps, device=ends.device)
    return sampler.between(slerp(ends[0], ends[1], shares), told, shares)


def traversals(
    sampler: Sampler, start: Tensor, told: Told, values: Tensor, latents: Iterable[int]
) -> dict[int, Images]:
    """For each of ``latents`` the images [n, S, S] of its traversal of ``values`` [n] from ``start``, of which the
    model is ``told`` [1]; those that change the picture most, summed variance of the pixels, come first."""
    known = None if told is None else told.expand(len(values))
    ways = {latent: sampler.images(traversal(start, latent, values), known) for latent in latents}
    return dict(sorted(ways.items(), key=lambda way: -float(way[1].var(axis=0, dtype=np.float64).sum())))
