"""The ladder: its layers, what is drawn from them, and that what it computes on the way is what its parts say."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genbalance.evaluation.likelihood import importance_weighted_bound
from genbalance.losses.vae import kl_to_normal, vae_output
from genbalance.models.vae import Vae
from genbalance.models.vae.ladder import layer_sizes
from genbalance.runtime.device import generator, initialised

CPU = torch.device("cpu")


def randn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ladder(latents=10, likelihood="bernoulli", shape=(1, 8, 8), **more):
    """As after a training: no layer is zero or the identity, and pixels depend on the latents."""
    model = initialised(lambda: Vae("ladder", likelihood, [*shape], latents, 32, -6.0, **more), 0, "vae", CPU)
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.add_(0.1 * randn(*p.shape, seed=i))
        for p in model.decoder.pixels.parameters():
            p.mul_(2)
    return model.eval()


def images(n=5, shape=(1, 8, 8)):
    return randn(n, *shape).sigmoid().round()


@pytest.mark.parametrize("latents", [3, 4, 5, 9, 40, 4096])
def test_every_latent_is_in_a_layer_and_no_layer_has_fewer_than_the_one_above(latents):
    sizes = layer_sizes(latents)
    assert sum(sizes) == latents
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 1
    assert ladder(latents).layers == sizes


@pytest.mark.parametrize(("latents", "prior"), [(2, "normal"), (10, "flow"), (10, "vamp")])
def test_what_is_no_ladder_is_refused(latents, prior):
    with pytest.raises(ValueError, match="ladder; allowed"):
        ladder(latents, prior=prior)


@pytest.mark.parametrize("draws", [1, 4])
@pytest.mark.parametrize("classes", [0, 3])
def test_what_is_decoded_on_the_way_is_what_the_decoder_makes_of_the_latents(classes, draws):
    model = ladder(classes=classes)
    labels = torch.tensor([0, 1, 2, 0, 1]) if classes else None
    drawn = model.encode(images(), labels).draw(randn(draws, 5, 10))
    decoded = model.decode(drawn.latents.flatten(0, 1), labels.repeat(draws) if classes else None)
    torch.testing.assert_close(drawn.decoded.mean, decoded.mean)


def walked(model, evidence, noise):
    """The layers from the third down, spelt out: prior and posterior of z, and z, of each."""
    state, found = model.decoder.top, {}
    given = noise.split(model.layers, dim=1)
    for k in (2, 1, 0):
        layer = model.decoder.layers[k]
        relative = layer.infer(state, evidence[k])
        prior = Normal(layer.prior(state).expand_as(given[k]), 1.0)
        q = Normal(prior.mean + relative.mean, relative.stddev)
        z = q.mean + q.stddev * given[k]
        found[k] = (prior, q, z)
        state = layer.cell(state + layer.taken(z))
    return [found[k] for k in range(3)]


def test_the_kl_is_that_of_each_layers_posterior_from_its_prior_given_the_layers_above():
    """Vahdat & Kautz 2020, equation 2, against the library's closed form for z itself."""
    model, noise = ladder(), randn(5, 10, seed=3)
    x = images()
    layers = walked(model, model.encoder(x), noise)
    expected = torch.cat([kl_divergence(q, p) for p, q, _ in layers], dim=1)
    drawn = model.encode(x).draw(noise)
    torch.testing.assert_close(kl_to_normal(drawn.conditional), expected)
    assert all(p.mean.abs().max() > 0.005 for p, _, _ in layers)


def test_latents_are_z_less_the_mean_of_its_prior():
    model, noise = ladder(), randn(5, 10, seed=3)
    layers = walked(model, model.encoder(images()), noise)
    expected = torch.cat([z - p.mean for p, _, z in layers], dim=1)
    torch.testing.assert_close(model.encode(images()).draw(noise).latents, expected)


def test_the_density_of_a_draw_is_that_of_the_noise_it_was_made_of():
    """log q(z|x) = log N(ε) − log |dz/dε|, with the Jacobian by automatic differentiation."""
    model = ladder().double()
    posterior, noise = model.encode(images(1).double()), randn(1, 10, seed=3).double()
    slope = torch.autograd.functional.jacobian(lambda e: posterior.draw(e).latents, noise).reshape(10, 10)
    drawn = posterior.draw(noise)
    expected = Normal(0.0, 1.0).log_prob(noise).sum() - torch.linalg.slogdet(slope).logabsdet
    torch.testing.assert_close(drawn.conditional.log_prob(drawn.latents).sum(), expected)


def test_a_layer_depends_on_the_draw_of_those_above_and_on_no_other():
    model, x = ladder(), images()
    posterior, first = model.encode(x), randn(5, 10, seed=3)
    for changed, (start, end) in enumerate([(0, 5), (5, 8), (8, 10)]):
        other = first.clone()
        other[:, start:end] += 1
        one, two = (posterior.draw(noise).conditional.mean for noise in (first, other))
        torch.testing.assert_close(one[:, start:], two[:, start:])
        assert changed == 0 or (one[:, :start] != two[:, :start]).all()


@pytest.mark.parametrize("classes", [0, 3])
def test_the_mean_weight_of_many_draws_is_the_integral_over_all_latents(classes):
    """p(x|y) = ∫ p(x|z, y) N(z) dz on a grid of three latents, one a layer."""
    model = ladder(3, classes=classes).double()
    x, labels = images(3).double(), torch.tensor([0, 1, 2]) if classes else None
    axis = torch.linspace(-4.8, 4.8, 25).double()
    grid = torch.cartesian_prod(axis, axis, axis)
    weights = Normal(0.0, 1.0).log_prob(grid).sum(dim=1) + 3 * math.log(axis[1] - axis[0])
    exact = []
    with torch.no_grad():
        for i, image in enumerate(x):
            decoded = model.decode(grid, labels[i].expand(len(grid)) if classes else None)
            exact.append(-float((decoded.log_prob(image).flatten(1).sum(dim=1) + weights).logsumexp(dim=0)))
    bounds = importance_weighted_bound(model, x, 8_000, generator(0, "noise"), labels)
    assert bounds == pytest.approx(exact, abs=0.1)


def test_the_bound_falls_with_the_draws_from_the_negative_elbo_on():
    model, x = ladder(), images().repeat(100, 1, 1, 1)
    bounds = [importance_weighted_bound(model, x, k, generator(0, "noise")).mean() for k in (1, 5, 50)]
    assert bounds[0] > bounds[1] > bounds[2]
    terms = vae_output(model, x, generator(1, "noise")).terms
    each = (terms.distortion + terms.rate).detach()
    assert bounds[0] == pytest.approx(each.mean().item(), abs=5 * each.std().item() / math.sqrt(len(x)))


def test_the_objective_adds_up_from_terms_that_are_computed_apart():
    """In closed form given the draw above, and as log q − log p at the draw: the same on the average."""
    model, x = ladder(), images().repeat(800, 1, 1, 1)
    closed = vae_output(model, x, generator(0, "noise")).terms
    several = vae_output(model, x, generator(1, "noise"), draws=3).terms
    torch.testing.assert_close(closed.kl.sum(dim=1), closed.rate)
    for name in ("distortion", "rate"):
        difference = (getattr(several, name).mean(dim=0) - getattr(closed, name)).detach()
        assert difference.mean().abs() < 5 * difference.std() / math.sqrt(len(x)), name
    assert closed.loss(3.0).item() == pytest.approx((closed.distortion + 3 * closed.rate).mean().item(), rel=1e-5)
    assert closed.loss(1.0, free_bits=0.1) >= closed.loss(1.0)


def test_products_in_bf16_leave_densities_in_float32():
    model, x = ladder(), images()
    with torch.autocast("cpu", torch.bfloat16):
        output = vae_output(model, x, generator(0, "noise"))
    assert output.terms.rate.dtype == output.terms.distortion.dtype == torch.float32
    exact = vae_output(model, x, generator(0, "noise"))
    torch.testing.assert_close(output.terms.rate, exact.terms.rate, rtol=0.1, atol=0.1)
