"""GAN inversion: the reconstruction of an image by a model that has no encoder."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from genbalance.evaluation.features import block_of, in_blocks
from genbalance.evaluation.neighbours import nearest

LEARNING_RATE = 0.1
BLOCK = 100  # images at a time, at most


def reconstruct(
    generator: Callable[..., Tensor],
    targets: Tensor,
    drawn: Tensor,
    z: Tensor,
    conditions: Tensor | None,
    steps: int,
) -> Tensor:
    """The generator's reconstructions [n, C, H, W] of ``targets`` [n, C, H, W], by inversion from the nearest samples.

    Args:
        generator: z, and conditions where there are any, → images.
        targets: on its device, in its range of pixels.
        drawn: samples [m, C, H, W], each initialises the inversion of the targets that it is nearest to.
        z: the latents of the samples [m, L].
        conditions: of the samples [m]; the reconstruction keeps that of its initial sample.
        steps: of Adam.

    Returns:
        Images on the CPU.
    """
    start = nearest_rows(targets, drawn).to(targets.device)
    kept = None if conditions is None else conditions[start]
    found = invert(generator, targets, z[start], steps, kept)
    return in_blocks(generator, found, kept, values=targets[0].numel())


def nearest_rows(targets: Tensor, drawn: Tensor) -> Tensor:
    """Which of the images ``drawn`` [m, C, H, W] is nearest to each target [n, C, H, W]: [n], on the CPU."""
    pixels, choices = (images.flatten(1).cpu().numpy() for images in (targets, drawn))
    return torch.from_numpy(nearest(pixels, choices, 1).indices[:, 0])


def invert(
    generator: Callable[..., Tensor], targets: Tensor, start: Tensor, steps: int, conditions: Tensor | None = None
) -> Tensor:
    """Latents [n, L] whose images come near ``targets`` [n, C, H, W], by ``steps`` of Adam from ``start`` [n, L].

    Minimises the mean squared error of each image by itself over z (Lipton & Tripathi 2017, arXiv:1702.04782; Metz et
    al. 2017, arXiv:1611.02163), with the ``conditions`` [n] kept, if there are any. What it ends in is a local minimum:
    the error is an upper bound on what the generator can do.
    """
    size = block_of(BLOCK, targets[0].numel())
    kept = conditions.split(size) if conditions is not None else [None] * len(targets.split(size))
    blocks = zip(targets.split(size), start.split(size), kept, strict=True)
    return torch.cat([_invert(generator, t, z, steps, *(() if c is None else (c,))) for t, z, c in blocks])


def _invert(
    generator: Callable[..., Tensor], targets: Tensor, start: Tensor, steps: int, *conditions: Tensor
) -> Tensor:
    z = start.clone().requires_grad_()
    optimizer = Adam([z], LEARNING_RATE, fused=True)
    schedule = CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        # a sum over images: each has a gradient of its own, whatever stands beside it
        loss = (generator(z, *conditions) - targets).square().flatten(1).mean(dim=1).sum()
        torch.autograd.backward(loss, inputs=[z])
        optimizer.step()
        schedule.step()
    return z.detach()
