"""The style-based GAN: modulated convolutions, noise, mixing, truncation, and D's view of groups."""

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from genbalance.losses import gan as losses
from genbalance.models.gan import Discriminator, Gan, Generator
from genbalance.models.gan.style import (
    MEAN_DECAY,
    Equalised,
    GroupDeviation,
    Mapping,
    Modulated,
    StyleGenerator,
    Synthesis,
    W,
)
from genbalance.runtime.device import initialised, lowered

CPU = torch.device("cpu")


def noise(*shape, seed=3, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def g_of(shape=(1, 28, 28), conditions=0, strength=0.3):
    """As after some training: noise has strengths, w a mean."""
    g = initialised(lambda: Generator("style", shape, 6, 8, conditions), 0, "g", CPU).eval()
    with torch.no_grad():
        for layer in g.net.synthesis.layers:
            layer.strength.fill_(strength)
        g.net.mean.copy_(noise(W, seed=8))
    return g


def d_of(size=28):
    return initialised(lambda: Discriminator("style", [1, size, size], 8), 0, "d", CPU)


def convolution(kernel, inputs=6, outputs=5):
    return initialised(lambda: Modulated(inputs, outputs, kernel), 0, "c", CPU)


@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_a_modulated_convolution_is_the_grouped_one_with_weights_of_each_image(kernel):
    """Karras et al. 2020, equations 1 and 3, and figure 2c, as the paper computes them."""
    module, pictures, w = convolution(kernel), noise(4, 6, 7, 5), noise(4, W, seed=4)
    with torch.no_grad():
        channel = 0 if kernel == 4 else 1  # of the weight, that of the inputs
        shape = (4, 6, 1, 1, 1) if kernel == 4 else (4, 1, 6, 1, 1)
        weights = module.weight[None] * module.affine(w).view(shape)
        share = 1 / 4 if kernel == 4 else 1  # of the weights that meet at a pixel
        scale = (share * weights.square().sum(dim=(channel + 1, 3, 4), keepdim=True) + 1e-8).rsqrt()
        grouped, together = (weights * scale).flatten(0, 1), pictures.flatten(0, 1)[None]
        if kernel == 4:
            expected = conv_transpose2d(together, grouped, stride=2, padding=1, groups=4)
        else:
            expected = conv2d(together, grouped, padding=kernel // 2, groups=4)
        found = module(pictures, w)
    torch.testing.assert_close(found, expected[0].unflatten(0, (4, 5)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("scale", [0.01, 1, 30])
def test_whatever_the_style_a_demodulated_output_has_variance_one(kernel, scale):
    module, w = convolution(kernel, 16, 12), scale * noise(200, W)
    with torch.no_grad():
        inner = module(noise(200, 16, 12, 12, seed=5), w)[..., 2:-2, 2:-2]  # the border has fewer products
    variance = inner.var(dim=(0, 2, 3))
    torch.testing.assert_close(variance, torch.ones(12), rtol=0, atol=0.06)
    plain = Modulated(16, 12, kernel, demodulate=False)
    with torch.no_grad():
        plain.weight.copy_(module.weight)
        plain.affine.load_state_dict(module.affine.state_dict())
        assert plain(noise(200, 16, 12, 12, seed=5), 30 * w).var() > 100 * scale


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_an_equalised_layer_starts_at_variance_one_and_moves_at_its_rate(rate):
    layer = initialised(lambda: Equalised(400, 300, rate, bias=2.0), 0, "e", CPU)
    with torch.no_grad():
        out = layer(noise(500, 400))
        assert (out - 2).var().item() == pytest.approx(1, abs=0.05)
        assert out.mean().item() == pytest.approx(2, abs=0.05)
        layer.weight += 1.0  # what Adam's steps do, whatever the gradient's size
        moved = layer(torch.ones(1, 400)) - layer.bias * rate
        layer.weight -= 1.0
        torch.testing.assert_close(
            moved - (layer(torch.ones(1, 400)) - layer.bias * rate), torch.full((1, 300), rate * 400**0.5)
        )


def test_the_mapping_ignores_the_length_of_z_and_weighs_latents_and_conditions_alike():
    mapping = Mapping([4, 50])
    z, condition = noise(3, 4), torch.eye(50)[:3]
    with torch.no_grad():
        one, other = (mapping(torch.cat([scale * z, condition], dim=1)) for scale in (1, 7))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        seen = []
        mapping.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        mapping(torch.cat([z, condition], dim=1))
    squares = [part.square().sum(dim=1) for part in seen[0].split([4, 50], dim=1)]
    torch.testing.assert_close(squares[0], torch.full((3,), 27.0))
    torch.testing.assert_close(squares[1], torch.full((3,), 27.0))


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 28, 28], [1, 32, 32], [3, 20, 36], [1, 64, 64], [3, 17, 9]])
def test_both_networks_take_sizes_and_colours(shape):
    g, d = g_of(shape), initialised(lambda: Discriminator("style", shape, 8), 0, "d", CPU)
    with torch.no_grad():
        images = g(noise(4, 6))
        logits = d(images)
    assert images.shape == (4, *shape)
    assert images.abs().max() < 1
    assert images.std() > 0.01
    assert logits.shape == (4,)


def test_a_smaller_image_is_enlarged_linearly():
    synthesis = Synthesis([2, 12, 12], 4)
    rows = torch.arange(6.0)[:, None].expand(6, 6)
    found = synthesis._enlarged(torch.stack([rows, rows.T])[None], 12, 11)[0, :, 1:-1, 1:-1]
    expected = (torch.arange(12.0) - 0.5)[1:-1] / 2
    torch.testing.assert_close(found[0], expected[:, None].expand(10, 9))
    torch.testing.assert_close(found[1], expected[:9].expand(10, 9))


def test_in_evaluation_z_alone_decides_the_image_and_in_training_noise_varies_it():
    g, z = g_of(), noise(4, 6)
    with torch.no_grad():
        assert torch.equal(g(z), g(z))
        g.train()
        assert not torch.equal(g(z), g(z))
        torch.manual_seed(1)
        one = g(z)
        torch.manual_seed(1)
        assert torch.equal(one, g(z))  # torch's own generator, which a checkpoint holds
    with torch.no_grad():
        quiet = g_of(strength=0.0).train()
        assert torch.equal(quiet(z[:1]), quiet(z[:1]))  # one image has no other z to mix in


def test_noise_is_a_part_of_the_weights_and_of_the_stream_that_draws_them():
    states = [g_of().state_dict() for _ in range(2)]
    names = [name for name in states[0] if name.endswith("noise")]
    assert len(names) == len(g_of().net.synthesis.layers)
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)


def test_mixing_in_training_changes_finer_layers_of_a_share_of_the_batch_alone():
    g, z = g_of(conditions=3, strength=0.0).train(), noise(400, 6)
    seen = []
    g.net.synthesis.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    conditions = torch.arange(400) % 3
    with torch.no_grad():
        g(z, conditions)
        w = g.net.mapping(g.inputs(z, conditions))
        other = g.net.mapping(g.inputs(z.roll(1, dims=0), conditions))  # of its own condition
    first = torch.stack([(style == w).all(dim=1) for style in seen[0]])  # layers × images
    second = torch.stack([(style == other).all(dim=1) for style in seen[0]])
    assert (first ^ second).all()
    assert first[0].all()
    assert not (first.long().diff(dim=0) > 0).any()  # never back
    shares = second.float().mean(dim=1)
    assert shares[-1].item() == pytest.approx(0.5, abs=0.1)
    assert (shares.diff() > 0.05).all()


def test_a_sample_mixed_with_itself_is_itself():
    g, z, other = g_of(conditions=3), noise(4, 6), noise(4, 6, seed=5)
    conditions = torch.tensor([0, 1, 2, 0])
    one, two = g.inputs(z, conditions), g.inputs(other, conditions)
    with torch.no_grad():
        assert torch.equal(g.net.mix(one, one), g(z, conditions))
        mixed = g.net.mix(one, two)
    assert (mixed != g(z, conditions)).flatten(1).any(dim=1).all()
    assert (mixed != g(other, conditions)).flatten(1).any(dim=1).all()


def test_without_truncation_nothing_changes_and_at_zero_all_images_are_one():
    g, z = g_of(), noise(5, 6)
    with torch.no_grad():
        plain = g(z)
        g.net.mean.add_(3)
        assert torch.equal(g(z), plain)
        g.net.truncation = 0.0
        mean = g(z)
    torch.testing.assert_close(mean, mean[:1].expand_as(mean))
    assert plain.var(dim=0).max() > 1e-4


def test_truncation_draws_w_towards_its_mean_in_training():
    net, z = StyleGenerator((6, 0), [1, 8, 8], 8).train(), noise(64, 6)
    with torch.no_grad():
        w = net.mapping(z)
        net(z)
        torch.testing.assert_close(net.mean, (1 - MEAN_DECAY) * w.mean(dim=0))
        before = net.eval().mean.clone()
        net(z)
        assert torch.equal(net.mean, before)
        net.truncation = 0.25
        torch.testing.assert_close(net._truncated(w) - net.mean, 0.25 * (w - net.mean))


def test_a_gan_of_styles_is_given_z_of_deviation_one():
    gan = Gan("style", [1, 8, 8], latents=6, width=4, truncation=0.5)
    assert (gan.deviation, gan.generator.net.truncation) == (1.0, 0.5)
    drawn = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(gan.draw_latents(9, drawn[0]), gan.generator.draw(9, drawn[1]))


@pytest.mark.parametrize(("count", "group"), [(8, 4), (6, 3), (10, 2), (7, 1), (1, 1)])
def test_the_deviation_is_that_of_groups_of_up_to_four_in_order(count, group):
    pictures = noise(count, 3, 5, 4)
    found = GroupDeviation()(pictures)
    assert torch.equal(found[:, :3], pictures)
    groups = pictures.unflatten(0, (-1, group))
    expected = groups.std(dim=1, correction=0).mean(dim=(1, 2, 3)).repeat_interleave(group)
    torch.testing.assert_close(found[:, 3], expected[:, None, None].expand(-1, 5, 4), rtol=1e-3, atol=2e-4)


def test_alike_images_have_no_deviation_and_d_still_a_gradient():
    alike = noise(1, 1, 28, 28).repeat(4, 1, 1, 1).requires_grad_()
    assert GroupDeviation()(alike)[:, -1].abs().max() < 2e-4
    d = d_of()
    logits = d(alike)
    losses.slope_penalty(logits, alike).backward()
    grads = [p.grad for p in d.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in grads)
    assert max(g.abs().max() for g in grads) > 0


def test_d_tells_a_batch_of_alike_images_from_one_of_others():
    d, images = d_of(), noise(4, 1, 28, 28)
    with torch.no_grad():
        alone, among = d(images[:1].repeat(4, 1, 1, 1))[0], d(images)[0]
    assert alone != among


def test_r1_through_d_has_the_gradient_of_finite_differences():
    """By D's weights, in float64: the second derivatives pass through the deviation of groups."""
    d, images = d_of(12).double(), noise(4, 1, 12, 12, dtype=torch.float64).requires_grad_()
    loss = losses.slope_penalty(d(images), images)
    names, parameters = zip(*d.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    for name, parameter, gradient in zip(names, parameters, found, strict=True):
        if gradient is None:  # the last bias moves no slope
            assert name.endswith("bias")
            continue
        direction = noise(*parameter.shape, seed=9, dtype=torch.float64)
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter += step * direction
            values.append(losses.slope_penalty(d(images), images).item())
            with torch.no_grad():
                parameter -= step * direction
        slope = (values[0] - values[1]) / 2e-6
        assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-3, abs=1e-7), name


def test_z_has_a_gradient_in_evaluation():
    z = noise(3, 6).requires_grad_()
    g_of()(z).square().sum().backward()
    assert z.grad.isfinite().all()
    assert (z.grad.abs().amax(dim=1) > 0).all()


def test_in_bf16_images_are_nearly_the_same():
    g, z = g_of(), noise(6, 6)
    with torch.no_grad():
        plain, low = g(z), lowered(lambda: g(z), True, CPU)()
    assert (low.float() - plain).abs().mean() < 0.02 * plain.std()
