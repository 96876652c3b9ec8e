"""Positions between floor and ceiling."""

import math

import pytest

from genbalance.reporting.results import read_results
from genbalance.reporting.scale import cards, linear, position


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


def test_both_models_share_a_scale_when_they_were_measured_alike(finished):
    distance = cards(read_results(finished), latents=6)[0]
    assert [[row.label for row in scale.rows] for scale in distance.scales] == [["GAN", "VAE"]]


def test_each_model_gets_its_own_scale_when_its_floor_differs(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", fd_floor=30.0)
    distance = cards(read_results(root), latents=6)[0]
    assert [[row.label for row in scale.rows] for scale in distance.scales] == [["GAN"], ["VAE"]]
    assert [scale.low for scale in distance.scales] == ["floor 3.114", "floor 30"]


def test_a_negative_distortion_is_told_without_a_place_on_a_scale(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", distortion=-900.5, nelbo=-875.3)
    bound = next(card for card in cards(read_results(root), latents=6) if "ELBO" in card.title)
    assert [(row.text, row.at) for row in bound.scales[0].rows] == [("−875.3", None), ("−900.5", None), ("25.20", None)]
