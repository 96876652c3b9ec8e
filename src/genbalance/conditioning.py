"""A GAN before its training: its networks, and the digits with what the networks are told of them."""

from typing import Any

import torch

from genbalance.adversarial import Digits
from genbalance.clustering import clusters
from genbalance.compute import initialised, upload
from genbalance.data.pixels import SIGNED
from genbalance.data.prepared import Prepared, Split
from genbalance.models.gan import Gan
from genbalance.params import Gan as Knobs
from genbalance.rng import stream_seed


def conditioned(
    knobs: Knobs, digits: Prepared, seed: int, device: torch.device
) -> tuple[Gan, dict[str, Any], Digits, Digits]:
    """The networks, the arguments that they were made with, and the training and the validation digits.

    Where ``knobs`` ask for clusters or classes, each digit has the condition of the nearest cluster (of its class).
    """
    classes = digits.classes if knobs.conditional else 0
    real, unseen = (upload(split.images, SIGNED, device) for split in (digits.train, digits.val))
    config: dict[str, Any] = {
        "arch": knobs.arch,
        "size": digits.height,
        "latents": knobs.latents,
        "width": knobs.width,
        "conditions": 0,
        "classes": classes,
        "spectral": knobs.spectral_norm,
        "truncation": knobs.truncation,
    }
    if knobs.clusters or classes:
        labels = digits.train.labels if classes else None
        pixels = real.flatten(1).cpu().numpy()
        found = clusters(pixels, labels, classes, knobs.clusters, stream_seed(seed, "gan/clusters"))
        config["conditions"] = len(found[0])
    gan = initialised(lambda: Gan(**config), seed, "gan/init", device)
    if gan.conditions:
        gan.conditions.set(*map(torch.from_numpy, found))

    def with_conditions(images: torch.Tensor, split: Split) -> Digits:
        return Digits(images, gan.conditions_of(images, torch.from_numpy(split.labels).to(device)))

    return gan, config, with_conditions(real, digits.train), with_conditions(unseen, digits.val)
