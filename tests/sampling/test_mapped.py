"""The test images of the map, and their reconstructions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from genbalance.runtime.device import generator
from genbalance.sampling.context import Context
from genbalance.sampling.mapped import mapped_images
from tests.sampling.conftest import SIDE


@pytest.mark.parametrize("name", ["vae", "vae_of_classes"])
def test_they_are_the_first_test_images_decoded_from_the_means_of_their_posteriors(context, name):
    files = (Path(f"models/{name}.safetensors"), Path("data/prepared"), Path("models/classifier.safetensors"))
    of = Context("vae", *files, Path("params.yaml"), 5, 0)
    images, reconstructions = mapped_images(of, 70)
    assert images.shape == reconstructions.shape == (70, SIDE, SIDE)
    np.testing.assert_array_equal(images, of.dataset.test.images[:70])
    labels = torch.from_numpy(of.dataset.test.labels[:70]) if name.endswith("classes") else None
    codes = of.sampler.controls.encode(images, labels, generator(5, "evaluate/vae/binary"))
    np.testing.assert_array_equal(reconstructions, of.sampler.images(codes, labels))
    assert (reconstructions[0] != reconstructions[1]).any() or labels is None


def test_there_are_as_many_as_the_page_has_room_for(context, monkeypatch):
    monkeypatch.setattr("genbalance.sampling.mapped.VALUES", 7 * SIDE * SIDE + 5)
    files = (None, Path("data/prepared"), Path("models/classifier.safetensors"))
    images, reconstructions = mapped_images(Context("vae", *files, Path("params.yaml"), None, 0), 70)
    assert len(images) == len(reconstructions) == 7
