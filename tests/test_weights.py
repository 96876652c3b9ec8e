"""Networks on disk."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from genbalance.compute import initialised
from genbalance.errors import UserError
from genbalance.models.classifier import Classifier
from genbalance.weights import load, save, snapshot

CPU = torch.device("cpu")
CONFIG = {"width": 4, "size": 8, "classes": 3}


@pytest.fixture
def network():
    net = initialised(lambda: Classifier(**CONFIG), 0, "net", CPU)
    net(torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)))  # so that the batch norms' buffers differ
    return net


def test_weights_and_buffers_come_back_bit_for_bit_in_evaluation_mode(network, tmp_path):
    save(tmp_path / "net.safetensors", CONFIG, network.state_dict())
    back = load(tmp_path / "net.safetensors", Classifier, CPU)
    assert not back.training
    state, loaded = network.state_dict(), back.state_dict()
    assert list(state) == list(loaded)
    for name in state:
        assert state[name].dtype == loaded[name].dtype, name
        assert torch.equal(state[name], loaded[name]), name
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(back(x), network.eval()(x))


def test_the_same_weights_give_the_same_bytes(network, tmp_path):
    save(tmp_path / "a", CONFIG, network.state_dict())
    save(tmp_path / "b", dict(reversed(CONFIG.items())), snapshot(network))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with torch.no_grad():
        network.head.bias += 1e-6
    save(tmp_path / "b", CONFIG, network.state_dict())
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_the_header_holds_the_constructors_arguments_and_nothing_else(network, tmp_path):
    save(tmp_path / "net", CONFIG, network.state_dict())
    with safe_open(tmp_path / "net", framework="pt") as file:
        assert {key: json.loads(value) for key, value in file.metadata().items()} == {"config": CONFIG}
    assert (tmp_path / "net").read_bytes()[8:9] == b"{"  # a safetensors header, not a pickle


def refusal(path, build=Classifier):
    with pytest.raises(UserError) as caught:
        load(path, build, CPU)
    text = str(caught.value)
    assert str(path) in text
    assert "run `dvc repro`" in text
    assert "\n" not in text
    return text


def test_a_missing_file_is_told_in_one_line(tmp_path):
    assert "is not there" in refusal(tmp_path / "net")


def broken(name, good, network):
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    config = {"config": json.dumps(CONFIG)}
    match name:
        case "empty":
            good.write_bytes(b"")
        case "noise":
            good.write_bytes(bytes(range(256)) * 9)
        case "truncated":
            good.write_bytes(good.read_bytes()[:-100])
        case "a pickle":
            torch.save(state, good)
        case "no metadata":
            save_file(state, good)
        case "other metadata":
            save_file(state, good, metadata={"format": "pt"})
        case "config is no JSON":
            save_file(state, good, metadata={"config": "{"})
        case "config is no object":
            save_file(state, good, metadata={"config": "[1]"})
        case "another constructor":
            save_file(state, good, metadata={"config": json.dumps({"depth": 3})})
        case "other shapes":
            save_file(state, good, metadata={"config": json.dumps(CONFIG | {"width": 8})})
        case "a weight too few":
            save_file({k: v for k, v in state.items() if k != "head.bias"}, good, metadata=config)
        case "a weight too many":
            save_file(state | {"extra": torch.zeros(1)}, good, metadata=config)
        case "a folder":
            good.unlink()
            good.mkdir()


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "noise",
        "truncated",
        "a pickle",
        "no metadata",
        "other metadata",
        "config is no JSON",
        "config is no object",
        "another constructor",
        "other shapes",
        "a weight too few",
        "a weight too many",
        "a folder",
    ],
)
def test_a_file_that_is_not_ours_is_told_in_one_line(name, network, tmp_path):
    path = tmp_path / "net"
    save(path, CONFIG, network.state_dict())
    broken(name, path, network)
    refusal(path)


def test_a_pickle_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (touch, (str(tmp_path / "sprung"),))

    torch.save({"w": Trap()}, tmp_path / "net")
    refusal(tmp_path / "net", lambda: nn.Identity())
    assert not (tmp_path / "sprung").exists()


def touch(path):
    Path(path).touch()


def test_a_snapshot_does_not_follow_the_weights(network):
    kept = snapshot(network)
    before = kept["head.bias"].clone()
    with torch.no_grad():
        network.head.bias += 1
    assert torch.equal(kept["head.bias"], before)
    network.load_state_dict(kept)
    assert torch.equal(network.head.bias, before)
