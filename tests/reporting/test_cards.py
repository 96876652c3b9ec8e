"""The headline cards: what stands on them, and where; positions between floor and ceiling."""

import math

import pytest
from reported import FAMILIES

from genbalance.reporting.cards import cards, linear, position
from genbalance.reporting.results import read_results

PARAMS = {"vae.conditional": False}


@pytest.fixture
def drawn(finished):
    return cards(read_results(finished, FAMILIES), PARAMS)


def by_title(drawn, words):
    return next(card for card in drawn if words in card.title)


def marks(drawn):
    return [mark for card in drawn for scale in card.scales for row in scale.rows for mark in row.marks]


def test_there_are_few_enough_to_be_looked_at(drawn):
    assert len(drawn) <= 8
    assert len({card.title for card in drawn}) == len(drawn)


def test_an_interval_reaches_to_both_sides_of_its_mark(drawn):
    reaches = [(mark.reach, mark.at) for mark in marks(drawn) if mark.reach]
    assert len(reaches) > 20
    for (low, high), at in reaches:
        assert 0 <= low <= at <= high <= 100
        assert low < high


def test_a_number_alone_on_its_row_has_its_interval(drawn):
    row = by_title(drawn, "Fréchet").scales[0].rows[0]
    assert [(mark.text, mark.span) for mark in row.marks] == [("22.81", "20.5 … 25.1")]


def test_numbers_that_share_a_row_have_names(drawn):
    shared = [row for card in drawn for scale in card.scales for row in scale.rows if len(row.marks) > 1]
    assert len(shared) == 9
    for row in shared:
        assert [(mark.name, mark.kind) for mark in row.marks] == [("GAN", "gan"), ("VAE", "vae")]


def test_active_units_are_among_as_many_latents_as_the_network_has(drawn):
    assert by_title(drawn, "Reconstruction").scales[1].high == "6 latents"


def test_what_real_images_get_stands_beside_precision_and_its_kin(drawn):
    rows = by_title(drawn, "Fidelity").scales[0].rows
    assert [row.label for row in rows] == ["precision", "recall", "density", "coverage"]
    assert [row.note for row in rows] == ["real 0.951", "real 0.935", "real 0.997", "real 0.972"]
    assert [row.tick for row in rows] == pytest.approx([95.1, 93.5, 99.7, 97.2])
    assert [mark.text for mark in rows[0].marks] == ["0.749", "0.693"]


def test_a_density_above_one_stays_on_its_scale(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_gan.json", density=1.4)
    density = by_title(cards(read_results(root, FAMILIES), PARAMS), "Fidelity").scales[0].rows[2]
    assert (density.marks[0].text, density.marks[0].at) == ("1.400", 100)


def test_the_discriminator_is_the_one_that_was_kept(drawn):
    rows = by_title(drawn, "Discriminator AUC").scales[0].rows
    assert [row.marks[0].text for row in rows] == ["0.830", "0.770"]


def test_families_share_a_scale_when_they_were_measured_alike(finished):
    distance = cards(read_results(finished, FAMILIES), PARAMS)[0]
    assert [[row.label for row in scale.rows] for scale in distance.scales] == [["GAN", "VAE"]]


def test_each_family_gets_its_own_scale_when_its_floor_differs(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", fd_floor=30.0)
    distance = cards(read_results(root, FAMILIES), PARAMS)[0]
    assert [[row.label for row in scale.rows] for scale in distance.scales] == [["GAN"], ["VAE"]]
    assert [scale.low for scale in distance.scales] == ["floor 3.114", "floor 30"]


def test_a_negative_distortion_stands_without_a_place_on_a_scale(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", distortion=-900.5, nelbo=-875.3)
    bound = next(card for card in cards(read_results(root, FAMILIES), PARAMS) if "ELBO" in card.title)
    assert [(mark.text, mark.at) for row in bound.scales[0].rows for mark in row.marks] == [
        *[("−875.3", None), ("97.40", None), ("−900.5", None), ("25.20", None)]
    ]


@pytest.mark.parametrize(("conditional", "hint"), [(False, "−log p(x) of"), (True, "−log p(x|y) of")])
def test_what_a_conditional_vae_bounds_is_given_the_class(finished, conditional, hint):
    drawn = cards(read_results(finished, FAMILIES), PARAMS | {"vae.conditional": conditional})
    assert hint in by_title(drawn, "ELBO").hint


@pytest.mark.parametrize(("floor", "ceiling"), [(3.0, 1200.0), (1e-4, 2.0), (0.0, 2.0), (-2e-4, 2.0)])
def test_the_floor_is_at_zero_and_the_ceiling_at_a_hundred(floor, ceiling):
    assert position(floor, floor, ceiling) == 0
    assert position(ceiling, floor, ceiling) == pytest.approx(100)


@pytest.mark.parametrize("value", [-5.0, 0.0, 0.5, 2.999])
def test_below_the_floor_a_scale_clamps(value):
    assert position(value, 3.0, 300.0) == 0


def test_above_the_ceiling_a_scale_clamps():
    assert position(1e9, 3.0, 300.0) == 100
    assert linear(7, 0, 1) == 100
    assert linear(-7, 0, 1) == 0


def test_a_distance_has_a_logarithmic_scale():
    assert position(30.0, 3.0, 300.0) == pytest.approx(50)
    assert position(math.sqrt(10) * 3, 3.0, 300.0) == pytest.approx(25)


def test_a_floor_below_zero_begins_the_scale_four_decades_under_the_ceiling():
    assert position(2e-4, -1.0, 2.0) == pytest.approx(0)
    assert position(0.02, -1.0, 2.0) == pytest.approx(50)


def test_a_ceiling_under_the_floor_leaves_only_the_ends():
    assert position(3.0, 3.0, 2.0) == 0
    assert position(3.1, 3.0, 2.0) == 100
