"""Coefficients that find their value, on problems whose solution is known."""

import math
from copy import deepcopy
from itertools import pairwise

import pytest
import torch

from genbalance.training.balance import (
    FACTOR,
    LARGEST_BETA,
    LARGEST_LAMBDA,
    LEAST_BETA,
    LEAST_LAMBDA,
    STEP,
    HeldAccuracy,
    HeldDistortion,
)

CPU = torch.device("cpu")


def after(held, *distortions):
    for distortion in distortions:
        held.update(torch.tensor(float(distortion)))
    return float(held.beta)


def log_moves(start, *distortions, target=80.0):
    """By how much each of these moves log β."""
    held = HeldDistortion(start, target, CPU)
    betas = [start, *(after(held, distortion) for distortion in distortions)]
    return [math.log(b / a) for a, b in pairwise(betas)]


@pytest.mark.parametrize("start", [0.01, 1.0, 30.0])
def test_at_its_target_distortion_beta_stays(start):
    assert log_moves(start, *[80] * 50) == [pytest.approx(0, abs=1e-6)] * 50


@pytest.mark.parametrize(("distortion", "sign"), [(82, -1), (500, -1), (78, 1), (-500, 1)])
def test_beta_falls_above_the_target_and_rises_below_by_no_more_than_a_step(distortion, sign):
    for move in log_moves(1.0, *[distortion] * 20):
        assert 0 < sign * move <= STEP * 1.001
    assert abs(log_moves(1.0, 80 + sign)[0]) == pytest.approx(abs(log_moves(1.0, 80 - sign)[0]), rel=1e-4)


def test_the_multiplier_of_the_papers_constraint_is_the_inverse():
    """log λ ← log λ + ν·C̄: with λ = 1/β each step adds to log λ what it takes from log β, in proportion to C̄."""
    one, two = (log_moves(1.0, 80 + off)[0] for off in (1, 2))
    assert two == pytest.approx(2 * one, rel=1e-3)
    assert one < 0


def test_beta_waits_while_the_distortion_is_on_its_way_and_goes_on_where_it_comes_to_rest():
    falling, resting = [1000 - 3 * step for step in range(280)], [160] * 400
    moves = log_moves(1.0, *falling, *resting)
    assert moves[200:280] == [0] * 80
    assert moves[-1] == pytest.approx(-STEP, rel=1e-3)


def test_beta_ends_at_its_bounds():
    assert after(HeldDistortion(1e-6, 0.0, CPU), 100, 100) == pytest.approx(LEAST_BETA, rel=1e-5)
    assert after(HeldDistortion(1e6, 0.0, CPU), -100, -100) == pytest.approx(LARGEST_BETA, rel=1e-5)
    held = HeldDistortion(1e-5, 0.0, CPU)
    assert after(held, *[100] * 1000) == pytest.approx(LEAST_BETA, rel=1e-5)
    assert after(held, *[-100] * 20) < after(held, *[-100] * 200)  # and leaves them again


@pytest.mark.parametrize("start", [0.02, 1.0, 50.0])
@pytest.mark.parametrize("target", [50.0, 110.0])
def test_a_distortion_that_falls_with_one_over_beta_comes_to_its_target(start, target):
    """D = 80 − 15·log(1/β), as a network has it that follows β with a delay of 30 steps, under noise of 3 nats."""
    held, chance = HeldDistortion(start, target, CPU), torch.Generator().manual_seed(0)
    log_beta, distortions = math.log(start), []
    for _ in range(3000):
        log_beta += (math.log(float(held.beta)) - log_beta) / 30
        distortions.append(80 + 15 * log_beta)
        after(held, distortions[-1] + 3 * torch.randn((), generator=chance))
    assert sum(distortions[-500:]) / 500 == pytest.approx(target, abs=0.5)
    assert max(abs(distortion - target) for distortion in distortions[-500:]) < 3
    assert math.log(float(held.beta)) == pytest.approx((target - 80) / 15, abs=0.2)


def test_a_restored_beta_is_on_the_device_of_its_training():
    """``meta`` in the place of a GPU; checkpoints are read to the CPU."""
    saved = HeldDistortion(2.0, 80.0, CPU)
    saved.update(torch.tensor(90.0))
    resumed = HeldDistortion(1.0, 80.0, torch.device("meta"))
    resumed.load_state_dict(saved.state_dict())
    assert {tensor.device.type for tensor in (resumed.beta, *resumed.state_dict()["averages"])} == {"meta"}


def test_a_restored_beta_goes_on():
    first, second = [300, 200, 150], [120, 90, 70, 60]
    whole, resumed = HeldDistortion(2.0, 80.0, CPU), HeldDistortion(1.0, 80.0, CPU)
    after(whole, *first)
    resumed.load_state_dict(deepcopy(whole.state_dict()))
    assert after(whole, *second) == after(resumed, *second)


def measured(start, *accuracies, target=0.6, **more):
    held, values = HeldAccuracy(start, target, **more), []
    for accuracy in accuracies:
        held.update(accuracy)
        values.append(held.value)
    return values


@pytest.mark.parametrize("target", [0.5, 0.6, 0.9])
def test_at_its_target_accuracy_lambda_stays(target):
    assert measured(0.3, *[target] * 5, target=target) == [0.3] * 5


@pytest.mark.parametrize("accuracy", [0.61, 1.0])
def test_where_d_is_ahead_the_generators_steps_grow_by_a_fixed_factor(accuracy):
    assert measured(0.5, accuracy, accuracy) == pytest.approx([0.5 * FACTOR, 0.5 * FACTOR**2])


@pytest.mark.parametrize("accuracy", [0.59, 0.0])
def test_where_d_is_behind_they_shrink_by_the_same(accuracy):
    assert measured(0.5, accuracy, accuracy) == pytest.approx([0.5 / FACTOR, 0.5 / FACTOR**2])


def test_lambda_ends_at_its_bounds_and_leaves_them():
    *_, largest, left = measured(900, *[1.0] * 5, 0.0)
    assert (largest, left) == (LARGEST_LAMBDA, LARGEST_LAMBDA / FACTOR)
    *_, least, left = measured(0.0011, *[0.0] * 5, 1.0)
    assert (least, left) == (LEAST_LAMBDA, LEAST_LAMBDA * FACTOR)
    assert measured(4.9, 1.0, 1.0, largest=5.0) == [5.0, 5.0]


def test_an_accuracy_that_falls_with_lambda_comes_to_its_target():
    """D is right on a share 1/(1 + λ/3) of 32 held-out images at a time: 0.6 at λ = 2."""
    chance = torch.Generator().manual_seed(0)
    for start in (0.01, 100.0):
        held, values = HeldAccuracy(start, 0.6), []
        for _ in range(600):
            right = torch.rand(32, generator=chance) < 1 / (1 + held.value / 3)
            held.update(float(right.float().mean()))
            values.append(math.log(held.value))
        assert sum(values[-300:]) / 300 == pytest.approx(math.log(2), abs=0.15)


def test_a_restored_lambda_goes_on():
    held, resumed = HeldAccuracy(0.25, 0.6), HeldAccuracy(1.0, 0.6)
    held.update(1.0)
    resumed.load_state_dict(held.state_dict())
    assert resumed.value == held.value == 0.25 * FACTOR
