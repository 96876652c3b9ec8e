"""Networks on disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.models.weights import load, save, snapshot
from genbalance.runtime.device import initialised
from genbalance.runtime.errors import UserError

CPU = torch.device("cpu")
CONFIG = {"width": 4, "shape": [1, 8, 8], "classes": 3}


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
        case "config is deep":
            save_file(state, good, metadata={"config": "[" * 10**5})
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
        "config is deep",
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


GAN = {"arch": "dcgan", "shape": [1, 12, 12], "latents": 4, "width": 4}
VAE = {"arch": "mlp", "likelihood": "gaussian", "shape": [1, 8, 8], "latents": 3, "width": 16, "log_sigma_floor": -6.0}
LOADING = """
import json, sys
from pathlib import Path
import torch
from genbalance.models import weights
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
path = Path(sys.argv[1])
for build, config in [(Gan, g) for g in json.loads(sys.argv[2])] + [(Vae, v) for v in json.loads(sys.argv[3])]:
    made = build(**config)
    weights.save(path, config, made.state_dict())
    back = weights.load(path, build, torch.device("cpu"))
    assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in made.state_dict().items()), config
    assert "torch._dynamo" not in sys.modules, config
"""


def test_a_network_is_loaded_without_torch_s_compiler_which_takes_longer_than_torch_itself(tmp_path):
    gans = [GAN | {"arch": arch, "shape": [1, 16, 16], "conditions": 5} for arch in ("dcgan", "mlp", "style", "dense")]
    vaes = [VAE | {"arch": arch, "shape": [1, 16, 16]} for arch in ("mlp", "conv", "ladder", "nvae")]
    vaes += [VAE | {"latents": 4, "prior": prior} for prior in ("normal", "mixture")]
    texts = [json.dumps(gans), json.dumps(vaes)]
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path / "net"), *texts], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr


FORGED = [
    (Classifier, CONFIG, {"width": 10**9}, "config.width: found 1000000000: Input should be less than or equal to 512"),
    (Classifier, CONFIG, {"width": 4.5}, "config.width: found 4.5"),
    (Classifier, CONFIG, {"classes": True}, "config.classes: found True"),
    (Classifier, CONFIG, {"shape": "8"}, "config.shape: found '8'"),
    (Classifier, CONFIG, {"shape": [1, -8, 8]}, "config.shape.1: found -8"),
    (Classifier, CONFIG, {"width": 512}, "found F32"),
    (Classifier, CONFIG, {"depth": 3}, "config.depth: found 3: Unexpected keyword argument"),
    (Classifier, CONFIG, {"a\nb": 3}, "config.a?b: found 3"),
    (Gan, GAN, {"arch": "transformer"}, "config.arch: found 'transformer'"),
    (Gan, GAN, {"truncation": float("nan")}, "config.truncation: found nan"),
    (Gan, GAN, {"spectral": 1}, "config.spectral: found 1"),
    (Gan, GAN, {"latents": 4096, "width": 512, "conditions": 4096}, "conditions.centroids: found None"),
    (Vae, VAE, {"log_sigma_floor": "../../etc"}, "config.log_sigma_floor: found '../../etc'"),
    (Vae, VAE, {"likelihood": None}, "config.likelihood: found None"),
    (Vae, VAE, {"likelihood": "auto"}, "config.likelihood: found 'auto'"),
    (Vae, VAE, {"likelihood": "gaussian_shared"}, "found F32"),
    (Vae, VAE, {"shape": [1, 8]}, "config.shape: found [1, 8]"),
    (Vae, VAE, {"arch": "ladder", "latents": 2}, "latents is 2 with arch = ladder; allowed: at least 3"),
    (Vae, VAE, {"arch": "ladder", "latents": 3, "prior": "vamp"}, "prior is vamp with arch = ladder"),
    (Vae, VAE, {"arch": "nvae", "latents": 3, "prior": "mixture"}, "prior is mixture with arch = nvae"),
    (Vae, VAE, {"shape": [3, 65536, 65536], "likelihood": "logistic_mixture"}, "found F32"),
    (Vae, VAE, {"width": 8192, "latents": 4096}, "found F32"),
]


@pytest.mark.parametrize(("build", "config", "forged", "told"), FORGED)
def test_a_forged_config_is_refused_by_key_before_memory_is_taken(build, config, forged, told, tmp_path, monkeypatch):
    path = tmp_path / "net"
    save(path, config | forged, initialised(lambda: build(**config), 0, "net", CPU).state_dict())
    monkeypatch.setattr(nn.Module, "to_empty", None)  # the one place where memory is taken
    assert told in refusal(path, build)


def test_what_was_not_forged_is_read(tmp_path):
    colour = VAE | {"arch": "conv", "likelihood": "gaussian_shared", "shape": [3, 32, 40]}
    ladder = VAE | {"arch": "ladder", "latents": 5, "classes": 3}
    nvae = VAE | {"arch": "nvae", "classes": 3}
    for build, config in ((Classifier, CONFIG), (Gan, GAN), (Vae, VAE), (Vae, colour), (Vae, ladder), (Vae, nvae)):
        state = initialised(lambda build=build, config=config: build(**config), 0, "net", CPU).state_dict()
        save(tmp_path / "net", config, state)
        assert load(tmp_path / "net", build, CPU).state_dict().keys() == state.keys()


def test_the_network_is_built_without_memory_and_without_a_draw_from_torchs_own_stream(network, tmp_path):
    path, devices = tmp_path / "net", []
    save(path, CONFIG, network.state_dict())

    def build(**config):
        built = Classifier(**config)
        devices.extend(tensor.device.type for tensor in built.state_dict().values())
        return built

    torch.manual_seed(3)
    before = torch.get_rng_state()
    load(path, build, CPU)
    assert set(devices) == {"meta"}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("prior", ["normal", "mixture", "flow", "vamp"])
def test_tensors_lie_in_memory_as_those_of_a_network_that_was_built(spectral, prior, tmp_path):
    gan = GAN | {"conditions": 6, "classes": 3, "spectral": spectral}
    for build, config in ((Gan, gan), (Vae, VAE | {"arch": "conv", "prior": prior, "classes": 3})):
        built = initialised(lambda build=build, config=config: build(**config), 0, "net", CPU)
        save(tmp_path / "net", config, built.state_dict())
        loaded = load(tmp_path / "net", build, CPU)
        for (name, one), (_, other) in zip(built.state_dict().items(), loaded.state_dict().items(), strict=True):
            assert torch.equal(one, other), name
            assert (one.dtype, one.stride()) == (other.dtype, other.stride()), name
        assert [p.requires_grad for p in built.parameters()] == [p.requires_grad for p in loaded.parameters()]


def test_weights_of_another_type_are_refused_and_not_cast(network, tmp_path):
    save(tmp_path / "net", CONFIG, {k: v.double() if k == "head.bias" else v for k, v in network.state_dict().items()})
    assert "head.bias: found F64 [3], but its config makes F32 [3]" in refusal(tmp_path / "net")


@pytest.mark.parametrize("end", [2**31, 2**50, 2**63])
def test_a_header_that_claims_more_bytes_than_the_file_has_is_refused(network, tmp_path, end):
    path = tmp_path / "net"
    save(path, CONFIG, network.state_dict())
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    last = max(header.keys() - {"__metadata__"}, key=lambda name: header[name]["data_offsets"][1])
    header[last]["data_offsets"][1] = end
    header[last]["shape"] = [(end - header[last]["data_offsets"][0]) // 8]
    forged = json.dumps(header).encode()
    path.write_bytes(len(forged).to_bytes(8, "little") + forged + body)
    refusal(path)
    path.write_bytes(end.to_bytes(8, "little") + whole[8:])
    refusal(path)


def test_a_buffer_that_files_leave_out_is_refused_since_nothing_would_fill_it(network, tmp_path):
    class Forgetful(Classifier):
        def __init__(self, **config):
            super().__init__(**config)
            self.register_buffer("table", torch.ones(2), persistent=False)

    save(tmp_path / "net", CONFIG, network.state_dict())
    assert "table: found None, but its config makes F32 [2]" in refusal(tmp_path / "net", Forgetful)


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
