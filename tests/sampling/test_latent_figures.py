"""The figures of a latent space, of models that were never trained."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from genbalance.data.pictures import TILE
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised
from genbalance.sampling.gan import GanSampler
from genbalance.sampling.latent_figures import PAIRS, ROWS, SPAN, STEPS, LatentFigures
from genbalance.sampling.vae import VaeSampler

N, LATENTS = 30, 10
COMMON = {"arch": "mlp", "shape": [1, 8, 8], "latents": LATENTS}
VAE = COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0}
CPU = torch.device("cpu")
SAMPLERS = {
    "gan": GanSampler(initialised(lambda: Gan(**COMMON, width=4), 0, "gan", CPU).eval()),
    "gan of clusters": GanSampler(initialised(lambda: Gan(**COMMON, width=4, conditions=5), 0, "gan", CPU).eval()),
    "vae": VaeSampler(initialised(lambda: Vae(**VAE), 0, "vae", CPU).eval()),
    "vae of classes": VaeSampler(initialised(lambda: Vae(**VAE, classes=10), 0, "vae", CPU).eval()),
}


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param]


def samples(sampler):
    return sampler.draw(N, generator(0, "latents"), None)


def surest(places):
    """Probabilities of a classifier that is surest of class c at the sample ``places[c]``."""
    probabilities = np.full((N, len(places)), 0.1)
    probabilities[places, range(len(places))] = 0.9
    return probabilities


def test_interpolations_lead_between_the_surest_samples_of_their_classes(sampler):
    z, condition = samples(sampler)
    places = [12, 3, 29, 7, 0, 5, 11, 22, 1, 9]
    shown = LatentFigures.of(sampler, z, condition, surest(places))
    assert shown.interpolations.shape == (5, STEPS, 8, 8)
    assert shown.ends == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    images = sampler.images(z, condition).astype(int)
    for row, pair in zip(shown.interpolations.astype(int), shown.ends, strict=True):
        assert abs(row[[0, -1]] - images[[places[c] for c in pair]]).max() <= 1


def test_traversals_take_one_latent_of_the_surest_sample_across_its_range(sampler):
    z, condition = samples(sampler)
    shown = LatentFigures.of(sampler, z, condition, surest([12, 3, 29, 7, 0, 5, 11, 22, 1, 9]))
    assert shown.start == 3
    assert shown.traversals.shape == (ROWS, STEPS, 8, 8)
    assert len(set(shown.latents)) == ROWS
    for row, latent in zip(shown.traversals.astype(int), shown.latents, strict=True):
        for place, value in ((0, -SPAN), (STEPS - 1, SPAN)):
            changed = z.clone()
            changed[7, latent] = value
            assert abs(row[place] - sampler.images(changed, condition)[7].astype(int)).max() <= 1


def test_a_class_that_is_not_drawn_is_named_as_what_the_classifier_reads_instead():
    sampler = SAMPLERS["vae"]
    probabilities = np.tile([0.1, 0.2, 0.6, 0.1], (N, 1))
    shown = LatentFigures.of(sampler, *samples(sampler), probabilities)
    assert shown.ends == ((2, 2), (2, 2))
    assert shown.start == 2


@pytest.mark.parametrize(
    ("classes", "ends"),
    [(2, ((0, 1),)), (3, ((0, 1), (2, 0))), (47, ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)))],
)
def test_any_number_of_classes_has_interpolations(classes, ends):
    sampler = SAMPLERS["vae"]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), N)
    probabilities[range(min(classes, N)), range(min(classes, N))] = 2  # of all samples and of all classes the largest
    shown = LatentFigures.of(sampler, *samples(sampler), probabilities)
    assert shown.ends == ends
    assert len(shown.interpolations) <= PAIRS


def test_it_is_kept_as_pictures_and_tables_of_equal_rows(sampler, tmp_path):
    shown = LatentFigures.of(sampler, *samples(sampler), surest(range(10)))
    shown.save(tmp_path)
    for name, rows in (("interpolations", 5), ("traversals", ROWS)):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == (STEPS * (TILE + 1) + 1, rows * (TILE + 1) + 1)
        with (tmp_path / f"{name}.csv").open(encoding="utf-8") as table:
            assert len(list(csv.DictReader(table))) == rows
    assert (
        (tmp_path / "traversals.csv")
        .read_text(encoding="utf-8")
        .startswith(f"latent,class,low,high\n{shown.latents[0]},3,-3,3\n")
    )


def test_without_classes_the_first_samples_are_its_ends(sampler):
    z, condition = samples(sampler)
    shown = LatentFigures.of(sampler, z, condition, None)
    assert shown.ends == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    assert shown.start == 0
    images = sampler.images(z, condition).astype(int)
    for row, pair in zip(shown.interpolations.astype(int), shown.ends, strict=True):
        assert abs(row[[0, -1]] - images[[*pair]]).max() <= 1
    assert shown.traversals.shape == (ROWS, STEPS, 8, 8)
