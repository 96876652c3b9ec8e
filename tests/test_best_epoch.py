"""The epoch that is kept."""

import numpy as np
import torch
from torch import nn

from genbalance import states
from genbalance.best_epoch import BestEpoch


def consider(best, losses, first=1):
    network = nn.Linear(1, 1)
    for epoch, loss in enumerate(losses, start=first):
        with torch.no_grad():
            network.weight.fill_(loss)
        best.consider(epoch, {"loss": loss, "rate": loss + 1}, network, np.array([loss]))
    return best


def told(best):
    return best.epoch, best.numbers, best.state["weight"].item(), best.kl.tolist()


def test_the_least_number_wins_and_of_equal_ones_the_first():
    assert told(consider(BestEpoch("loss"), [3.0, 1.0, 2.0, 1.0])) == (2, {"loss": 1.0, "rate": 2.0}, 1.0, [1.0])


def test_it_goes_on_from_what_it_was():
    for later in ([5.0], [0.5]):
        whole, resumed = consider(BestEpoch("loss"), [3.0, 1.0]), BestEpoch("loss")
        resumed.load_state_dict(states.copy(whole.state_dict()))
        assert told(consider(whole, later, first=3)) == told(consider(resumed, later, first=3))
