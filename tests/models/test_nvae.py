"""The hierarchy of maps: its groups, what is drawn from them, and that it computes on the way what its parts say."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genbalance.losses.vae import kl_to_normal, vae_output
from genbalance.models.vae import Vae
from genbalance.models.vae.nvae import HALVES, LARGEST_LOG_SCALE, QUARTERS, group_shapes
from genbalance.runtime.device import generator, initialised

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
L = 80  # of such images, one channel at half of the side


def randn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nvae(shape=SHAPE, likelihood="bernoulli", latents=40, **more):
    """As after a training: no cell is the identity, and pixels depend on the latents."""
    model = initialised(lambda: Vae("nvae", likelihood, [*shape], latents, 128, -6.0, **more), 0, "vae", CPU)
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.add_(0.05 * randn(*p.shape, seed=i))
    return model.eval()


def images(n=5, shape=SHAPE):
    return randn(n, *shape).sigmoid().round()


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 17, 9), (3, 30, 31), (1, 64, 40)], ids=str)
@pytest.mark.parametrize("latents", [1, 40, 2000])
def test_groups_are_whole_maps_of_about_so_many_latents(shape, latents):
    shapes = group_shapes(shape, latents)
    (channels, height, wide), quarter = shapes[0], shapes[-1]
    assert shapes == HALVES * [[channels, height, wide]] + QUARTERS * [quarter]
    assert quarter == [2 * channels, height // 2, wide // 2]
    assert all(0 <= 2 * half - side < 4 for side, half in zip(shape[1:], (height, wide), strict=True))
    found = sum(c * h * w for c, h, w in shapes)
    least = found // channels
    assert found == least or abs(found - latents) <= least / 2


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("shape", "likelihood"), [(SHAPE, "bernoulli"), ((3, 17, 9), "logistic_mixture")])
def test_what_is_decoded_on_the_way_is_what_the_decoder_makes_of_the_latents(shape, likelihood, classes):
    model = nvae(shape, likelihood, classes=classes)
    assert model.latents == sum(model.layers)
    labels = torch.tensor([0, 1, 2, 0, 1]) if classes else None
    drawn = model.encode(images(5, shape), labels).draw(randn(4, 5, model.latents))
    decoded = model.decode(drawn.latents.flatten(0, 1), labels.repeat(4) if classes else None)
    assert drawn.latents.shape == drawn.conditional.mean.shape == (4, 5, model.latents)
    assert decoded.mean.shape == (20, *shape)
    torch.testing.assert_close(drawn.decoded.mean, decoded.mean)


def walked(model, evidence, noise):
    """The groups from the highest down, spelt out: prior and posterior of z, and z, of each, the lowest first."""
    decoder, found = model.decoder, {}
    state = decoder.top.expand(len(noise), -1, -1, -1)
    given = noise.split(model.layers, dim=1)
    for k in reversed(range(HALVES + QUARTERS)):
        group = decoder.layers[k]
        relative, (mean, raw) = group.infer(state, evidence[k]), group.prior(state).chunk(2, dim=1)
        prior = Normal(mean, (LARGEST_LOG_SCALE * (raw / LARGEST_LOG_SCALE).tanh()).exp())
        q = Normal(prior.mean + prior.stddev * relative.mean, prior.stddev * relative.stddev)
        z = q.mean + q.stddev * given[k].view(q.mean.shape)
        found[k] = (prior, q, z)
        state = group.cell(state + group.taken(z))
        if k == HALVES:
            state = group.doubled(state)
    return [found[k] for k in range(HALVES + QUARTERS)]


def test_the_kl_is_that_of_each_groups_posterior_from_its_prior_given_the_groups_above():
    """Vahdat & Kautz 2020, equation 2, against the library's closed form for z itself."""
    model, noise, x = nvae(), randn(5, L, seed=3), images()
    groups = walked(model, model.encode(x).evidence, noise)
    drawn = model.encode(x).draw(noise)
    expected = torch.cat([kl_divergence(q, p).flatten(1) for p, q, _ in groups], dim=1)
    torch.testing.assert_close(kl_to_normal(drawn.conditional), expected, rtol=1e-4, atol=1e-5)
    latents = torch.cat([((z - p.mean) / p.stddev).flatten(1) for p, _, z in groups], dim=1)
    torch.testing.assert_close(drawn.latents, latents, rtol=1e-4, atol=1e-5)
    assert all((p.stddev - 1).abs().max() > 0.005 for p, _, _ in groups)
    assert all(p.mean.abs().max() > 0.005 for p, _, _ in groups)


def test_the_density_of_a_draw_is_that_of_the_noise_it_was_made_of():
    """log q(z|x) = log N(ε) − log |dz/dε|, with the Jacobian by automatic differentiation."""
    model = nvae().double()
    posterior, noise = model.encode(images(1).double()), randn(1, L, seed=3).double()
    slope = torch.autograd.functional.jacobian(lambda e: posterior.draw(e).latents, noise).reshape(L, L)
    drawn = posterior.draw(noise)
    expected = Normal(0.0, 1.0).log_prob(noise).sum() - torch.linalg.slogdet(slope).logabsdet
    torch.testing.assert_close(drawn.conditional.log_prob(drawn.latents).sum(), expected)


def test_a_group_depends_on_the_draw_of_those_above_and_on_no_other():
    model = nvae()
    posterior, first = model.encode(images()), randn(5, L, seed=3)
    ends = torch.tensor([0, *model.layers]).cumsum(dim=0).tolist()
    for k, (start, end) in enumerate(pairwise(ends)):
        other = first.clone()
        other[:, start:end] += 1
        one, two = (posterior.draw(noise).conditional.mean for noise in (first, other))
        torch.testing.assert_close(one[:, start:], two[:, start:])
        assert k == 0 or (one[:, :start] != two[:, :start]).any()


def test_it_starts_with_a_posterior_that_is_the_prior_and_then_learns():
    model = initialised(lambda: Vae("nvae", "bernoulli", [*SHAPE], 40, 128, -6.0), 0, "vae", CPU)
    optimizer, noise, losses = torch.optim.Adam(model.parameters(), 2e-3), generator(0, "noise"), []
    x = randn(40, 1, 1, 1).gt(0).float().expand(40, *SHAPE)  # 44 nats, of which one bit is left
    for _ in range(40):
        terms = vae_output(model, x, noise).terms
        losses.append(terms.loss(1.0).item())
        if len(losses) == 1:
            assert terms.rate.abs().max() < 1e-5
        optimizer.zero_grad()
        terms.loss(1.0).backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def test_products_in_bf16_leave_densities_in_float32():
    model, x = nvae(), images()
    with torch.autocast("cpu", torch.bfloat16):
        output = vae_output(model, x, generator(0, "noise"))
    assert output.terms.rate.dtype == output.terms.distortion.dtype == torch.float32
    exact = vae_output(model, x, generator(0, "noise"))
    torch.testing.assert_close(output.terms.rate, exact.terms.rate, rtol=0.1, atol=0)
