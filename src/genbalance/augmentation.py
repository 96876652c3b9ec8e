"""Small shifts and rotations, another for each image."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def shift_and_rotate(images: Tensor, shift: float, rotation: float, noise: torch.Generator) -> Tensor:
    """Images [B, 1, S, S], each moved by up to ``shift`` pixels along each axis and turned by up to ``rotation``
    degrees, uniformly; what comes in from outside repeats the border."""
    count, _, _, size = images.shape
    draws = torch.rand(count, 3, generator=noise, device=images.device) * 2 - 1
    angle = draws[:, 0] * math.radians(rotation)
    move = draws[:, 1:] * (2 * shift / size)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([cos, -sin, move[:, 0]], dim=1), torch.stack([sin, cos, move[:, 1]], dim=1)]
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
