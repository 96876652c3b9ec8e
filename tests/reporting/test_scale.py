"""Positions between floor and ceiling."""

import math

import pytest

from genbalance.reporting.scale import linear, position


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
