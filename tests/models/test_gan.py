"""Generators and discriminators: shapes, ranges, widths."""

import pytest
import torch
from torch import nn

from genbalance.models.gan import Discriminator, Gan, Generator
from genbalance.models.gan.conditions import Conditions
from genbalance.models.gan.dense import Block
from genbalance.runtime.device import initialised

SIZES = [8, 17, 20, 28, 32]
ARCHS = ["mlp", "dcgan", "style", "dense"]
CPU = torch.device("cpu")


def g_of(arch, size, latents=6, width=4):
    return initialised(lambda: Generator(arch, [1, size, size], latents, width), 0, "g", CPU)


def d_of(arch, size, width=4):
    return initialised(lambda: Discriminator(arch, [1, size, size], width), 0, "d", CPU)


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


@pytest.mark.parametrize("shape", [[3, 8, 8], [1, 8, 30], [3, 32, 32], [3, 20, 48], [3, 64, 8], [3, 64, 64]])
@pytest.mark.parametrize("arch", ARCHS)
def test_both_networks_take_colours_and_rectangles(arch, shape):
    with torch.no_grad():
        images = initialised(lambda: Generator(arch, shape, 6, 4), 0, "g", CPU)(noise(5, 6))
        logits = initialised(lambda: Discriminator(arch, shape, 4), 0, "d", CPU).eval()(images)
    assert images.shape == (5, *shape)
    assert logits.shape == (5,)
    assert logits.std() > 0


@pytest.mark.parametrize("size", [28, 31, 32, 64])
def test_residual_blocks_start_where_images_have_32_pixels(size):
    blocks = [m for m in Gan("dcgan", [3, size, size], 6, 4).modules() if type(m).__name__ == "_Residual"]
    assert bool(blocks) == (size >= 32)
    before = noise(2, blocks[0].branch[-1].in_channels, 8, 8) if blocks else None
    assert before is None or torch.equal(blocks[0](before), before)


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
        d.head.bias.fill_(sign * 50)
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


def test_a_dense_layer_sees_the_channels_of_all_before_it():
    convolutions = {
        name: [
            (m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        for name, module in (("g", g_of("dense", 28, 6, 8)), ("d", d_of("dense", 28, 8)))
    }
    assert convolutions["g"] == [(16, 4), (20, 4), (24, 8), (8, 4), (12, 4), (16, 1)]
    assert convolutions["d"] == [(1, 8), (8, 4), (12, 4), (16, 16), (16, 4), (20, 4), (24, 32)]


def test_a_dense_block_keeps_its_input():
    block, pictures = Block(3, 2, normalized=False), noise(5, 3, 6, 6)
    with torch.no_grad():
        found = block(pictures)
        first = block.layers[0](pictures)
        second = block.layers[1](torch.cat([pictures, first], dim=1))
    assert torch.equal(found, torch.cat([pictures, first, second], dim=1))


def test_the_dcgans_width_doubles_at_each_halving():
    convolutions = {
        name: [
            (m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        for name, module in (("g", g_of("dcgan", 28, 6, 8)), ("d", d_of("dcgan", 28, 8)))
    }
    assert convolutions["g"] == [(16, 8), (8, 1)]
    assert convolutions["d"] == [(1, 8), (8, 16), (16, 32)]


@pytest.mark.parametrize("arch", ["mlp", "dcgan", "dense"])  # where D sees how alike images are, each counts
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
    whole = Gan(arch, [1, 28, 28], latents=6, width=4)
    assert whole.state_dict().keys() == parts.state_dict().keys()
    whole.load_state_dict(parts.state_dict())


@pytest.mark.parametrize("arch", ARCHS)
def test_conditions_reach_both_networks_and_no_other_row(arch):
    g = initialised(lambda: Generator(arch, [1, 17, 17], 6, 4, conditions=5), 0, "g", CPU).eval()
    d = initialised(lambda: Discriminator(arch, [1, 17, 17], 4, conditions=5), 0, "d", CPU).eval()
    with torch.no_grad():
        d.embedding.weight.normal_(generator=torch.Generator().manual_seed(4))
        told, other = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 4])
        for one, two in (
            (g(noise(3, 6), told), g(noise(3, 6), other)),
            (d(noise(3, 1, 17, 17), told), d(noise(3, 1, 17, 17), other)),
        ):
            torch.testing.assert_close(one[:2], two[:2], rtol=1e-4, atol=1e-5)
            assert not torch.allclose(one[2], two[2], atol=1e-5)


def test_before_training_a_condition_means_nothing_to_the_discriminator():
    d = initialised(lambda: Discriminator("dcgan", [1, 17, 17], 4, conditions=5), 0, "d", CPU)
    with torch.no_grad():
        images = noise(3, 1, 17, 17)
        torch.testing.assert_close(d(images, torch.tensor([0, 3, 4])), d(images))


@pytest.mark.parametrize("arch", ARCHS)
def test_with_spectral_norm_no_layers_largest_singular_value_exceeds_one(arch):
    d = initialised(lambda: Discriminator(arch, [1, 17, 17], 4, spectral=True), 0, "d", CPU)
    images = noise(8, 1, 17, 17)
    for _ in range(50):  # one power iteration a call in training
        d(images)
    layers = [m for m in d.eval().modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) >= 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_samples_are_drawn_with_the_truncated_deviation():
    gan = Gan("mlp", [1, 8, 8], latents=50, width=4, truncation=0.5)
    z = gan.draw_latents(2000, torch.Generator().manual_seed(1))
    assert z.std().item() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(2 * z, gan.generator.draw(2000, torch.Generator().manual_seed(1)))


def test_a_gan_without_conditions_is_told_none():
    gan = Gan("mlp", [1, 8, 8], latents=3, width=4)
    assert gan.draw_conditions(4, torch.Generator()) is None
    assert gan.conditions_of(noise(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)) is None


def conditions(shares, classes):
    """Of as many constant grey images as there are shares in a row."""
    shares = torch.tensor(shares)
    found = Conditions(shares.shape[1], classes, 16)
    found.set(torch.linspace(-1, 1, shares.shape[1])[:, None].expand(-1, 16), shares)
    return found


def test_conditions_are_drawn_with_their_shares_and_never_without_one():
    found = conditions([[0.1, 0.0, 0.6, 0.3, 0.0]], 0)
    drawn = found.draw(40_000, torch.Generator().manual_seed(2))
    shares = torch.bincount(drawn, minlength=5) / len(drawn)
    torch.testing.assert_close(shares, found.shares[0], atol=0.01, rtol=0)
    assert shares[1] == shares[4] == 0


def test_conditions_are_spread_evenly_over_any_run_of_new_images_of_a_class():
    shares = torch.rand(3, 20, generator=torch.Generator().manual_seed(5))
    shares /= shares.sum(dim=1, keepdim=True)
    found, n = conditions(shares.tolist(), 3), 1000
    asked = torch.randint(3, (600_000,), generator=torch.Generator().manual_seed(6))  # float32 would be too coarse
    drawn = found.draw(len(asked), torch.Generator().manual_seed(7), asked)
    for label in range(3):
        of_class = drawn[asked == label]
        for start in (0, 123, len(of_class) - n):
            counts = torch.bincount(of_class[start : start + n], minlength=20)
            assert (counts - n * shares[label]).abs().max() < 4  # independent draws: up to 20 and more


def test_a_single_condition_has_its_share_as_probability():
    found = conditions([[0.2, 0.8]], 0)
    first = torch.cat([found.draw(2, torch.Generator().manual_seed(seed))[-1:] for seed in range(2000)])
    assert first.float().mean().item() == pytest.approx(0.8, abs=0.04)  # 4 standard errors


def test_a_class_that_is_asked_for_gets_its_own_conditions():
    found = conditions([[0.5, 0.5, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]], 3)
    asked = torch.arange(3).repeat(500)
    drawn = found.draw(len(asked), torch.Generator().manual_seed(3), asked)
    assert set(drawn[asked == 0].tolist()) == {0, 1}
    assert (drawn[asked == 1] == 2).all()
    assert (drawn[asked == 2] == 3).all()


def test_a_draw_at_the_upper_end_is_the_last_condition_that_has_a_share(monkeypatch):
    found = conditions([[0.3, 0.3, 0.3999999, 0.0]], 0)
    below_one = torch.tensor([1 - 2**-53], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: below_one)
    assert found.shares.double().sum() <= below_one  # or there is nothing to test
    assert found.draw(1, torch.Generator()).tolist() == [2]


def test_a_real_image_has_the_condition_of_the_nearest_centroid_of_its_class():
    found = conditions([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], 2)  # grey −1, −1/3, 1/3, 1
    grey = torch.tensor([-0.9, -0.1, 0.1, 0.9])[:, None, None, None].expand(-1, 1, 4, 4)
    assert found.of(grey, torch.zeros(4, dtype=torch.int64)).tolist() == [0, 1, 1, 1]
    assert found.of(grey, torch.ones(4, dtype=torch.int64)).tolist() == [2, 2, 2, 3]
    assert conditions([[0.25] * 4], 0).of(grey).tolist() == [0, 1, 2, 3]
