"""The epoch that is kept."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from genbalance.training.vae import BestEpoch


def consider(best, losses, first=1):
    network = nn.Linear(1, 1)
    for epoch, loss in enumerate(losses, start=first):
        with torch.no_grad():
            network.weight.fill_(loss)
        best.consider(epoch, {"loss": loss, "rate": loss + 1}, network, np.array([loss]))
    return best


def kept(best):
    return best.epoch, best.metrics, best.weights["weight"].item(), best.kl.tolist()


def test_the_least_number_wins_and_of_equal_ones_the_first():
    assert kept(consider(BestEpoch("loss"), [3.0, 1.0, 2.0, 1.0])) == (2, {"loss": 1.0, "rate": 2.0}, 1.0, [1.0])


def test_a_restored_one_continues():
    for later in ([5.0], [0.5]):
        whole, resumed = consider(BestEpoch("loss"), [3.0, 1.0]), BestEpoch("loss")
        resumed.load_state_dict(deepcopy(whole.state_dict()))
        assert kept(consider(whole, later, first=3)) == kept(consider(resumed, later, first=3))
