"""The test images that the map of the codes shows, and what a model makes of them."""

from math import prod

import numpy as np

from genbalance.sampling.context import Context
from genbalance.sampling.sampler import Images

VALUES = 2**20  # numbers of all originals on the page, at most: a page is mailed and opened on phones


def mapped_images(context: Context, codes: int) -> tuple[Images, Images]:
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
