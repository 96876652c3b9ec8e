"""The VAE-GAN's networks."""

import pytest
import torch
from torch import nn

from genbalance.models.vae_gan import VaeGan
from genbalance.runtime.device import initialised


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [[1, 8, 8], [3, 9, 28], [3, 32, 40], [3, 64, 64]], ids=str)
def test_images_of_each_shape_are_encoded_decoded_and_judged(shape):
    model = initialised(lambda: VaeGan(shape, 5, 4, 32), 0, "vae_gan", torch.device("cpu")).eval()
    images = randn(4, *shape).tanh()
    with torch.no_grad():
        posterior = model.autoencoder.encode(images)
        rebuilt = model.autoencoder.reconstruct(images)
        features = model.features(images)
    assert posterior.mean.shape == posterior.stddev.shape == (4, 5)
    assert (posterior.stddev > 0).all()
    assert rebuilt.shape == images.shape
    assert -1 <= rebuilt.min() <= rebuilt.max() <= 1
    assert features.dim() == 2
    assert not torch.allclose(posterior.mean[0], posterior.mean[1], atol=1e-4)


@pytest.mark.parametrize(("side", "convolutions"), [(28, 0), (31, 0), (32, 6), (64, 9)])
def test_the_encoder_has_convolutions_from_32_pixels_on(side, convolutions):
    encoder = VaeGan([3, side, side - 8], 5, 4, 32).autoencoder.encoder
    assert sum(isinstance(layer, nn.Conv2d) for layer in encoder.modules()) == convolutions
