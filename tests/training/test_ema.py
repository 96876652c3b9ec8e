"""The moving average of weights."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genbalance.training.ema import MovingAverage


def averages(decay: float, values: list[float]) -> list[float]:
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, decay)
    seen = []
    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
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


def test_once_its_window_is_full_it_is_torchs_average_of_weights_and_statistics() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    ours = MovingAverage(network, 0.5)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    for step in range(6):
        network(torch.randn(8, 4, generator=torch.Generator().manual_seed(step)))  # moves the running statistics
        with torch.no_grad():
            for p in network.parameters():
                p.add_(0.1 * (step + 1))
        ours.update(network)
        theirs.update_parameters(network)
    for name, tensor in ours.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs.module.state_dict()[name])
    assert ours.module[1].num_batches_tracked == 6


def test_the_average_is_a_copy_in_evaluation_mode_that_no_gradient_reaches() -> None:
    network = nn.Linear(2, 2).train()
    average = MovingAverage(network, 0.9)
    average.update(network)
    assert not average.module.training
    assert network.training
    assert not any(p.requires_grad for p in average.module.parameters())
    with torch.no_grad():
        network.weight.zero_()
    assert average.module.weight.abs().sum() > 0


def test_an_average_that_goes_on_weighs_as_the_one_that_never_stopped() -> None:
    model = nn.Linear(1, 1, bias=False)
    average, resumed = MovingAverage(model, 0.9), MovingAverage(model, 0.9)

    def update(to: MovingAverage[nn.Linear], value: float) -> None:
        with torch.no_grad():
            model.weight.fill_(value)
        to.update(model)

    for value in (8.0, 1.0, 3.0):
        update(average, value)
    resumed.load_state_dict(average.state_dict())
    for one in (average, resumed):
        update(one, 5.0)
    assert torch.equal(average.module.weight, resumed.module.weight)
    assert average.module.weight.item() == pytest.approx(17 / 4)
