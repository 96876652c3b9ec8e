"""One VAE for a range of β: at each β it is a VAE as any other."""

import pytest
import torch
from torch.distributions import kl_divergence

from genbalance.losses.vae import vae_output
from genbalance.models.vae import Vae
from genbalance.models.weights import load, save
from genbalance.runtime.device import initialised

CPU = torch.device("cpu")
RANGE = {"beta_range": [0.1, 10.0], "beta": 2.0}
SHAPES = {"mlp": [1, 8, 8], "conv": [1, 8, 8], "conv of 32 pixels": [3, 32, 32]}
BETAS = (0.1, 1.0, 2.0, 10.0)


def arguments(kind, **more):
    likelihood = "bernoulli" if SHAPES[kind][0] == 1 else "gaussian_shared"
    return {
        "arch": kind.split()[0],
        "likelihood": likelihood,
        "shape": SHAPES[kind],
        "latents": 3,
        "width": 32,
        "log_sigma_floor": -6.0,
        **more,
    }


def vae(kind, **more):
    return initialised(lambda: Vae(**arguments(kind, **more)), 0, "vae", CPU)


def trained(kind):
    """As after a training: no modulation is zero."""
    model = vae(kind, **RANGE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return model


def pixels(kind, count=4):
    return torch.rand(count, *SHAPES[kind], generator=torch.Generator().manual_seed(1))


def terms(model, images):
    return vae_output(model, images, torch.Generator().manual_seed(3)).terms


@pytest.mark.parametrize("kind", SHAPES)
def test_before_training_it_is_the_model_without_a_range_at_each_beta(kind):
    model, plain, images = vae(kind, **RANGE), vae(kind), pixels(kind)
    expected = terms(plain, images)
    for beta in BETAS:
        with model.at(beta):
            found = terms(model, images)
        torch.testing.assert_close(found.loss(beta), expected.loss(beta))


@pytest.mark.parametrize("kind", SHAPES)
def test_an_image_with_its_own_beta_has_the_terms_that_it_has_where_all_have_that_one(kind):
    model, images = trained(kind), pixels(kind)
    with model.at(torch.tensor(BETAS)):
        mixed = terms(model, images)
    for row, beta in enumerate(BETAS):
        with model.at(beta):
            alone = terms(model, images)
        torch.testing.assert_close(mixed.rate[row], alone.rate[row])
        torch.testing.assert_close(mixed.distortion[row], alone.distortion[row])
    each = mixed.distortion + torch.tensor(BETAS) * mixed.rate
    torch.testing.assert_close(mixed.loss(torch.tensor(BETAS)), each.mean())


@pytest.mark.parametrize("kind", SHAPES)
def test_beta_moves_both_networks_and_its_own_holds_outside_of_another(kind):
    model, images = trained(kind), pixels(kind)
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(4))
    own, decoded = model.encode(images), model.decode(z).mean
    with model.at(10.0):
        assert kl_divergence(own, model.encode(images)).sum() > 1e-3
        assert (model.decode(z).mean - decoded).abs().max() > 1e-3
        with model.at(2.0):
            torch.testing.assert_close(model.encode(images).mean, own.mean)
    torch.testing.assert_close(model.encode(images).mean, own.mean)
    torch.testing.assert_close(model.decode(z).mean, decoded)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_file_keeps_range_and_beta(kind, tmp_path):
    model = trained(kind)
    save(tmp_path / "vae", arguments(kind, **RANGE), model.state_dict())
    loaded, images = load(tmp_path / "vae", Vae, CPU), pixels(kind)
    assert loaded.beta_range == [0.1, 10.0]
    torch.testing.assert_close(loaded.encode(images).mean, model.encode(images).mean)


def test_a_model_without_a_range_is_the_same_within_any_beta():
    model, images = vae("mlp"), pixels("mlp")
    with model.at(7.0):
        within = terms(model, images)
    torch.testing.assert_close(within.loss(1.0), terms(model, images).loss(1.0))


def test_each_side_has_parameters_of_its_own_and_together_they_are_all():
    model = vae("mlp", **RANGE)
    sides = [{id(p) for p in side.parameters()} for side in model.sides()]
    assert sides[0] | sides[1] == {id(p) for p in model.parameters()}
    assert not sides[0] & sides[1]


def test_a_ladder_knows_no_beta():
    with pytest.raises(ValueError, match="beta_range with arch = ladder"):
        Vae("ladder", "bernoulli", [1, 8, 8], 6, 32, -6.0, **RANGE)
