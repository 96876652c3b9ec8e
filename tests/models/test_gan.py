"""Generators and discriminators: shapes, ranges, widths."""

import pytest
import torch
from torch import nn

from genbalance.compute import initialised
from genbalance.models.gan import Gan, build_discriminator, build_generator

SIZES = [8, 17, 20, 28, 32]
ARCHS = ["mlp", "dcgan"]
CPU = torch.device("cpu")


def g_of(arch, size, latents=6, width=4):
    return initialised(lambda: build_generator(arch, size, latents, width), 0, "g", CPU)


def d_of(arch, size, width=4):
    return initialised(lambda: build_discriminator(arch, size, width), 0, "d", CPU)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", ARCHS)
def test_latents_become_images_inside_the_open_range(arch, size):
    with torch.no_grad():
        images = g_of(arch, size)(noise(5, 6))
    assert images.shape == (5, 1, size, size)
    assert images.abs().max() < 1
    assert images.min() < 0 < images.max()


@pytest.mark.parametrize("arch", ARCHS)
def test_pixels_are_bounded_however_large_the_weights(arch):
    g = g_of(arch, 17)
    with torch.no_grad():
        next(p for p in reversed(list(g.parameters())) if p.dim() > 1).mul_(1e6)
        images = g(noise(5, 6))
    assert images.abs().max() == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", ARCHS)
def test_images_become_one_logit_each(arch, size):
    with torch.no_grad():
        logits = d_of(arch, size).eval()(noise(5, 1, size, size) * 100)
    assert logits.shape == (5,)
    assert logits.std() > 0


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_logit_is_unbounded_on_both_sides(arch, sign):
    d = d_of(arch, 8).eval()
    with torch.no_grad():
        list(d.parameters())[-1].fill_(sign * 50)
        assert (d(noise(4, 1, 8, 8)) * sign > 40).all()


@pytest.mark.parametrize("size", [20, 28])
def test_the_mlps_have_the_source_texts_widths(size):
    linear = {
        name: [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]
        for name, module in (("g", g_of("mlp", size, 100)), ("d", d_of("mlp", size)))
    }
    pixels = size * size
    assert linear["g"] == [(100, 128), (128, 256), (256, 512), (512, 1024), (1024, pixels)]
    assert linear["d"] == [(pixels, 512), (512, 256), (256, 128), (128, 1)]


def test_the_dcgans_width_doubles_at_each_halving():
    convolutions = {
        name: [
            (m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        for name, module in (("g", g_of("dcgan", 28, 6, 8)), ("d", d_of("dcgan", 28, 8)))
    }
    assert convolutions["g"] == [(16, 8), (8, 1)]
    assert convolutions["d"] == [(1, 8), (8, 16)]


@pytest.mark.parametrize("arch", ARCHS)
def test_no_image_vouches_for_another_in_the_discriminators_batch(arch):
    d = d_of(arch, 17)
    for module in d.modules():  # dropout is drawn for each image of a batch, so it would hide what is asked here
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images = noise(6, 1, 17, 17)
    with torch.no_grad():
        alone = torch.cat([d(image[None]) for image in images])
        torch.testing.assert_close(d(images), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHS)
def test_every_weight_takes_part(arch):
    g, d = g_of(arch, 17), d_of(arch, 17)
    d(g(noise(8, 6))).square().sum().backward()
    for module in (g, d):
        for name, p in module.named_parameters():
            assert p.grad is not None, name
            assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("arch", ARCHS)
def test_both_networks_are_what_two_parts_of_one_file_hold(arch):
    parts = nn.ModuleDict({"generator": g_of(arch, 28), "discriminator": d_of(arch, 28)})
    whole = Gan(arch, 28, latents=6, width=4)
    assert whole.state_dict().keys() == parts.state_dict().keys()
    whole.load_state_dict(parts.state_dict())
