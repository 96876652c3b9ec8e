"""The test images that the report's map of codes shows, and what a model makes of them."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genbalance.sampling.context import Context

if TYPE_CHECKING:
    from genbalance.sampling.sampler import Images

VALUES = 2**20  # numbers of all originals on the page, at most: a page is mailed and opened on phones
PREPARED, CLASSIFIER, PARAMS = Path("data/prepared"), Path("models/classifier.safetensors"), Path("params.yaml")


def mapped(codes: Mapping[str, int]) -> "dict[str, tuple[Images, Images]]":
    """What the map of each family has, in a repository in which the stages before the report have run; ``codes``: how
    many codes there are, by family.

    Raises:
        UserError: a file is not as it should be.
    """
    return {
        model: mapped_images(Context(model, None, PREPARED, CLASSIFIER, PARAMS, None, 0), count)
        for model, count in codes.items()
    }


def mapped_images(context: Context, codes: int) -> "tuple[Images, Images]":
    """The first test images [n, H, W(, 3)], as many as there are ``codes`` of or as the page has room for, and their
    reconstructions, decoded from E[z|x].

    Raises:
        UserError: a file is not as it should be.
    """
    import torch

    from genbalance.runtime.device import generator

    dataset, device, encode = context.dataset, context.device, context.sampler.controls.encode
    assert encode is not None  # a family with codes has one
    count = max(1, min(codes, VALUES // prod(dataset.shape)))
    images, labels = np.ascontiguousarray(dataset.test.images[:count]), None
    if context.sampler.classes:
        labels = torch.from_numpy(dataset.test.labels[:count]).to(device)
    noise = generator(context.root, f"evaluate/{context.model}/binary", device)  # the API's
    return images, context.sampler.images(encode(images, labels, noise).to(device), labels)
