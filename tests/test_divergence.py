"""A diverged training stops at the step."""

import math

import pytest
import torch

from genbalance.divergence import LOOK, until_diverged
from genbalance.errors import UserError


class OnGpu:
    """A scalar that says it lies on a GPU, where each look at it waits."""

    is_cuda = True

    def __init__(self, value, looks):
        self.value, self.looks = value, looks

    def __float__(self):
        return self.value


def take(steps, taken):
    for scalars in steps:
        taken.append(scalars)


def steps(count, bad_at=None, value=math.nan):
    for number in range(1, count + 1):
        yield {"loss_d": torch.tensor(0.5), "loss_g": torch.tensor(value if number == bad_at else 0.25 * number)}


def test_finite_steps_go_through_as_they_are():
    given = list(steps(50))
    taken = list(until_diverged(iter(given), 1, "nothing"))
    assert all(one is other for one, other in zip(taken, given, strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad_at", [1, 7, 30])
def test_the_bad_step_is_told_with_its_terms_and_the_advice_and_never_handed_on(value, bad_at):
    taken = []
    with pytest.raises(UserError) as caught:
        take(until_diverged(steps(30, bad_at, value), 4, "a smaller gan.learning_rate"), taken)
    assert len(taken) == bad_at - 1
    assert str(caught.value) == (
        f"epoch 4, step {bad_at}: loss_g is {value} (loss_d 0.5): the training has diverged; "
        "try a smaller gan.learning_rate"
    )


@pytest.mark.parametrize(("bad_at", "told_after"), [(3, 19), (20, 19), (21, 39), (45, 45)])
def test_on_a_gpu_it_looks_seldom_and_still_tells_the_first_bad_step(bad_at, told_after, monkeypatch):
    looks = []

    def stack(values):
        looks.append(len(values))
        return torch.tensor([value.value for value in values])

    monkeypatch.setattr(torch, "stack", stack)
    given = [{"loss": OnGpu(math.inf if number >= bad_at else 1.0, looks)} for number in range(1, 46)]
    taken = []
    with pytest.raises(UserError, match=f"epoch 1, step {bad_at}: loss is inf"):
        take(until_diverged(given, 1, "less"), taken)
    assert len(taken) == told_after
    assert all(count <= LOOK for count in looks)
    assert len(looks) == -(-(told_after + 1) // LOOK)
