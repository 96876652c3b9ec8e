"""Differentiable augmentation: random changes of all images that a discriminator sees, real and generated alike.

Zhao et al. 2020 (arXiv:2006.10738). Few real images are seen in more variants, so that D cannot learn them one by one;
generated ones are changed in the same manner, so that G need not learn the changes; and gradients pass through, so that
G can learn at all. Images are tensors [B, C, H, W] in [−1, 1]; each of a batch is changed in a way of its own.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 1 / 8  # of each side, at most: the paper's
CUT = 1 / 2  # of each side: the paper's
BLACK, GREY = -1.0, 0.0


def translate(images: Tensor, chance: torch.Generator) -> Tensor:
    """Images shifted by whole pixels, up to an eighth of each side in all directions alike.

    What a shift uncovers is black, as what surrounds a digit is, where the paper has mid-grey: a shifted digit is one
    that might be real.
    """
    height, width = images.shape[-2:]
    down, right = (round(side * SHIFT) for side in (height, width))
    padded = pad(images, (right, right, down, down), value=BLACK)
    rows, columns = (
        torch.arange(side, device=images.device) + _whole(len(images), 2 * most + 1, images, chance)
        for side, most in ((height, down), (width, right))
    )
    return _picked(padded, rows, columns)


def cut_out(images: Tensor, chance: torch.Generator) -> Tensor:
    """Images with a rectangle of half their height and half their width in mid-grey (DeVries & Taylor 2017,
    arXiv:1708.04552). Its middle may be any pixel, so that a part of it may lie outside."""
    places = []
    for side in images.shape[-2:]:
        length = round(side * CUT)
        first = _whole(len(images), side, images, chance) - length // 2
        pixels = torch.arange(side, device=images.device)
        places.append((pixels >= first) & (pixels < first + length))
    rows, columns = places
    return images.masked_fill((rows[:, :, None] & columns[:, None])[:, None], GREY)


def recolour(images: Tensor, chance: torch.Generator) -> Tensor:
    """Images with another brightness (±½ added), saturation (0 to 2 times the distance from a pixel's grey) and
    contrast (½ to 3⁄2 times the distance from the image's mean). Grey images have no saturation to change."""
    brightness, saturation, contrast = (
        torch.rand(len(images), 1, 1, 1, generator=chance, device=images.device) for _ in range(3)
    )
    images = images + brightness - 0.5
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * 2 * saturation
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


POLICIES = {
    "none": (),
    "translation": (translate,),
    "cutout": (cut_out,),
    "translation_cutout": (translate, cut_out),
    "color_translation_cutout": (recolour, translate, cut_out),
}


def augmented(images: Tensor, policy: str, chance: torch.Generator) -> Tensor:
    """Images changed by each part of a policy of ``gan.augment`` in turn; gradients pass through.

    Args:
        images: [B, C, H, W] in [−1, 1]; other brightness and contrast may lead beyond.
        policy: a key of POLICIES; with ``none`` they are the same tensor, and nothing is drawn.
        chance: the stream of all random numbers, on the images' device.
    """
    for change in POLICIES[policy]:
        images = change(images, chance)
    return images


def _whole(count: int, below: int, images: Tensor, chance: torch.Generator) -> Tensor:
    """Random whole numbers [count, 1] below a bound."""
    return torch.randint(below, (count, 1), generator=chance, device=images.device)


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of some ``rows`` [B, h] and ``columns`` [B, w] of each image: [B, C, h, w]."""
    picked = images.permute(0, 2, 3, 1)[
        torch.arange(len(images), device=images.device)[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return picked.permute(0, 3, 1, 2)
