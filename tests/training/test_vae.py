"""The network that is built for the data, and the epoch that is kept."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data.prepared import Prepared, Split
from genbalance.models.vae import Vae
from genbalance.models.weights import load, save
from genbalance.params import read_params
from genbalance.runtime.errors import UserError
from genbalance.training.vae import BestEpoch, build_vae, train

CPU = torch.device("cpu")
PARAMS = read_params()
GREY, COLOUR = (8, 12), (8, 12, 3)


def prepared(*shape):
    split = Split(np.zeros((20, *shape), np.uint8), np.zeros(20, np.int64))
    return Prepared(split, split, split, "made", "Made", 1, 0.5, 0.5)


def vae_config(**changes):
    return PARAMS.vae.model_copy(update={"width": 16, "latents": 2} | changes)


@pytest.mark.parametrize(
    ("asked", "shape", "resolved"),
    [
        ("auto", GREY, "bernoulli"),
        ("auto", COLOUR, "gaussian_shared"),
        ("bernoulli", GREY, "bernoulli"),
        *(
            (name, shape, name)
            for name in ("gaussian", "gaussian_shared", "logistic_mixture")
            for shape in (GREY, COLOUR)
        ),
    ],
)
def test_a_network_has_the_datas_shape_and_the_likelihood_that_was_asked_for(asked, shape, resolved, tmp_path):
    model, arguments = build_vae(vae_config(likelihood=asked), prepared(*shape), 0, CPU)
    assert model.likelihood == arguments["likelihood"] == resolved
    assert model.shape == arguments["shape"] == [3 if shape == COLOUR else 1, 8, 12]
    save(tmp_path / "vae", arguments, model.state_dict())
    assert load(tmp_path / "vae", Vae, CPU).likelihood == resolved


def test_black_and_white_is_refused_for_colour_in_one_line_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(nn.Module, "__init__", None)  # no network is made
    params = PARAMS.model_copy(update={"vae": vae_config(likelihood="bernoulli", batch_size=4)})
    with pytest.raises(UserError) as caught:
        train(params, prepared(*COLOUR), CPU, None)
    assert str(caught.value) == (
        "vae.likelihood: found bernoulli, which is of black and white, with images of 3 channels; "
        "allowed: gaussian_shared (auto), gaussian or logistic_mixture"
    )


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
