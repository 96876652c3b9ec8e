"""The moving average of weights."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from genbalance.averaging import moving_average


def averages(decay: float, values: list[float]) -> list[float]:
    model = nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, multi_avg_fn=moving_average(decay))
    seen = []
    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
        seen.append(float(average.module.weight.detach()))
    return seen


def test_a_short_training_is_averaged_plainly() -> None:
    values = [3.0, 5.0, 10.0, 2.0]
    assert averages(0.99, values) == pytest.approx([sum(values[:n]) / n for n in range(1, 5)], rel=1e-6)


def test_a_long_training_forgets_at_the_rate_of_its_decay() -> None:
    seen = averages(0.5, [8.0, 0.0, 0.0, 0.0, 0.0])
    assert seen == pytest.approx([8.0, 4.0, 2.0, 1.0, 0.5], rel=1e-6)


def test_without_memory_the_average_is_the_weights_themselves() -> None:
    assert averages(0.0, [1.0, 7.0, -2.0]) == [1.0, 7.0, -2.0]
