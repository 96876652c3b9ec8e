"""The samplers of the families: latents, conditions, images."""

from itertools import islice

import numpy as np
import pytest
import torch

from genbalance.data.pictures import LINE
from genbalance.evaluation import features
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised
from genbalance.sampling.gan import GanSampler
from genbalance.sampling.sampler import TOGETHER, draws
from genbalance.sampling.vae import VaeSampler

CPU = torch.device("cpu")
SIDE, LATENTS = 8, 6
COMMON = {"arch": "mlp", "shape": [1, SIDE, SIDE], "latents": LATENTS}
VAE = COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0}


def gan(**config):
    model = initialised(lambda: Gan(**COMMON | {"width": 4} | config), 0, "gan", CPU).eval()
    with torch.no_grad():
        if config.get("arch") is None:
            model.generator.net[-3].weight *= 30  # as if it had learned to use all levels
    return GanSampler(model)


def vae(**config):
    return VaeSampler(initialised(lambda: Vae(**VAE, **config), 0, "vae", CPU).eval())


SAMPLERS = {
    "gan": gan(),
    "gan of clusters": gan(conditions=5),
    "gan of styles": gan(arch="style", conditions=5, truncation=0.7),
    "gan of classes": gan(conditions=6, classes=3),
    "vae": vae(),
    "vae of classes": vae(classes=3),
    "vae with a flow": vae(prior="flow"),
    "vae with a mixture": vae(prior="mixture"),
}


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param]


def draw(sampler, count=7, digit=1):
    return sampler.draw(count, generator(0, "draws"), digit)


def test_draws_a_few_at_a_time_are_those_of_many_at_once(sampler):
    """So that conditions and components are spread over all of them, and not anew over each few."""
    z, condition = draw(sampler, TOGETHER)
    parts = [*islice(draws(sampler, 64, generator(0, "draws"), 1), TOGETHER // 64)]
    assert torch.equal(torch.cat([latents for latents, _ in parts]), z)
    if condition is None:
        assert {known for _, known in parts} == {None}
    else:
        assert torch.equal(torch.cat([known for _, known in parts]), condition)


@pytest.mark.parametrize("name", ["vae", "vae with a flow", "vae with a mixture"])
def test_latents_are_the_same_however_few_the_prior_makes_at_a_time(name, monkeypatch):
    whole, _ = draw(SAMPLERS[name], 30)
    monkeypatch.setattr(features, "VALUES", 4 * LATENTS**2)
    torch.testing.assert_close(draw(SAMPLERS[name], 30)[0], whole)


@pytest.mark.parametrize("size", [1, 250, TOGETHER, TOGETHER + 1])
def test_draws_have_no_end_and_no_two_are_alike(size):
    taken = islice(draws(SAMPLERS["gan of clusters"], size, generator(0, "draws"), None), 2 * TOGETHER // size + 2)
    latents = torch.cat([z for z, _ in taken])
    assert len(latents) == size * (2 * TOGETHER // size + 2)
    assert len(latents.unique(dim=0)) == len(latents)


@pytest.mark.parametrize(("digit", "asked"), [(0, {0}), (2, {2}), (None, {0, 1, 2})])
def test_a_model_of_classes_is_asked_for_the_digit_or_for_each_and_others_for_nothing(
    monkeypatch: pytest.MonkeyPatch, digit: int | None, asked: set[int]
) -> None:
    asked_for = []
    draw_conditions = Gan.draw_conditions

    def recorded(model: Gan, count: int, noise: torch.Generator, labels: torch.Tensor | None) -> torch.Tensor | None:
        asked_for.append(labels)
        return draw_conditions(model, count, noise, labels)

    monkeypatch.setattr(Gan, "draw_conditions", recorded)
    for name in SAMPLERS:
        conditions = draw(SAMPLERS[name], 60, digit)[1]
        labels = conditions if name.startswith("vae") else asked_for.pop()
        assert (None if labels is None else set(labels.tolist())) == (asked if name.endswith("of classes") else None)


def test_images_are_grey_and_of_the_models_size(sampler):
    z, condition = draw(sampler)
    assert z.shape == (7, sampler.latent_dim)
    images = sampler.images(z, condition)
    assert images.shape == (7, SIDE, SIDE)
    assert images.dtype == np.uint8


def test_a_stream_gives_the_same_images_each_time(sampler):
    np.testing.assert_array_equal(sampler.images(*draw(sampler)), sampler.images(*draw(sampler)))


def test_a_path_between_two_images_starts_and_ends_with_them(sampler):
    z, condition = draw(sampler, count=40)
    both = [0, 1] if condition is None or sampler.classes else [0, int((condition != condition[0]).nonzero()[0])]
    if sampler.classes:
        condition[1] = (condition[0] + 1) % 3
    ends = None if condition is None else condition[both]
    assert ends is None or ends[0] != ends[1]
    shares = torch.linspace(0, 1, 5)
    path = sampler.between(torch.lerp(z[both[0]], z[both[1]], shares[:, None]), ends, shares)
    images = sampler.images(z[both], ends)
    assert len(path) == 5
    for shown, expected in ((path[0], images[0]), (path[-1], images[1])):
        np.testing.assert_allclose(shown.astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize("name", ["gan of clusters", "gan of classes", "vae of classes"])
def test_between_two_conditions_nothing_jumps(name):
    sampler = SAMPLERS[name]
    z, _ = draw(sampler, count=1)
    shares = torch.linspace(0, 1, 200)
    path = sampler.between(z.expand(200, -1), torch.tensor([0, 2]), shares).astype(int)
    apart = np.abs(path[-1] - path[0]).max()
    assert apart > 2
    assert np.abs(np.diff(path, axis=0)).max() <= 1 + 0.05 * apart


@pytest.mark.parametrize("name", ["gan of classes", "vae of classes"])
def test_a_model_of_classes_is_asked_for_the_digit(name):
    sampler = SAMPLERS[name]
    z, labels = draw(sampler, digit=2)
    assert sampler.classes == 3
    assert (sampler.images(z, labels) != sampler.images(z, draw(sampler, digit=0)[1])).any() or name.startswith("gan")
    if name.startswith("vae"):
        assert labels.tolist() == [2] * 7


def test_a_gan_of_classes_draws_conditions_of_the_digit_alone():
    sampler = gan(conditions=6, classes=3)
    sampler.gan.conditions.shares.copy_(torch.eye(3).repeat_interleave(2, dim=1) / 2)
    assert set(draw(sampler, count=50, digit=2)[1].tolist()) == {4, 5}


def test_the_gans_noise_is_truncated():
    z = [draw(gan(truncation=truncation))[0] for truncation in (1.0, 0.5)]
    torch.testing.assert_close(z[1], z[0] / 2)


def test_the_style_based_gan_truncates_w_and_not_the_noise():
    z = [draw(gan(arch="style", truncation=truncation))[0] for truncation in (1.0, 0.5)]
    assert torch.equal(*z)


def test_a_table_of_mixed_styles_has_its_sources_at_its_edges_and_itself_where_they_meet():
    sampler = gan(arch="style", conditions=5)
    z, condition = draw(sampler, count=5)
    z, condition = torch.cat([z, z[:2]]), torch.cat([condition, condition[:2]])
    table = sampler.style_mixing(z, condition, 3)
    assert table.shape == (4, 5, SIDE, SIDE)
    assert (table[0, 0] == LINE).all()
    images = sampler.images(z, condition)
    np.testing.assert_array_equal(table[1:, 0], images[:3])
    np.testing.assert_array_equal(table[0, 1:], images[3:])
    for place in (0, 1):  # the last two columns are the samples of the first two rows
        np.testing.assert_allclose(table[1 + place, 3 + place].astype(int), images[place].astype(int), atol=1)
        assert (table[1 + place, 1] != images[place]).any()


@pytest.mark.parametrize("arch", ["mlp", "dcgan", "dense"])
def test_other_generators_have_no_styles_to_mix(arch):
    sampler = gan(arch=arch)
    assert sampler.style_mixing(*draw(sampler), 3) is None
