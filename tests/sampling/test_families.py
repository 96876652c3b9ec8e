"""A family that the package does not name: its record and a sampler are enough."""

import base64
import io
import json
import math
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import genbalance
from genbalance.data.pixels import SIGNED
from genbalance.evaluation.features import in_blocks
from genbalance.families import registry
from genbalance.families.registry import DISCRIMINATOR, ENCODER
from genbalance.models import weights
from genbalance.models.gan.model import Generator
from genbalance.runtime.device import download, generator, initialised
from genbalance.sampling.context import Context
from genbalance.sampling.generate import Options, generate, interpolate, traverse
from genbalance.sampling.onnx import export
from genbalance.sampling.play import Player
from genbalance.sampling.play import Request as Wish
from genbalance.sampling.sampler import Controls, Drawing, Input
from genbalance.sampling.server import Request, Server
from tests.sampling.conftest import CPU, SIDE, draws_stripes

CONFIG = {"shape": [1, SIDE, SIDE], "latents": 6, "width": 4}


class Pair(nn.Module):
    """An encoder, and a GAN's generator without conditions."""

    def __init__(self, shape, latents, width):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 2 * latents))
        self.generator = Generator("mlp", shape, latents, width)


class PairSampler:
    classes, controls = 0, Controls()

    def __init__(self, pair):
        self.pair, self.latent_dim = pair, pair.generator.latents

    def draw(self, count, noise, digit):
        return self.pair.generator.draw(count, noise), None

    def images(self, z, condition):
        return download(in_blocks(self.pair.generator, z), SIGNED)

    def between(self, z, ends, shares):
        return self.images(z, ends)


class Decoded(nn.Module):
    def __init__(self, pair):
        super().__init__()
        self.generator = pair.generator

    def forward(self, latents):
        return SIGNED.decode(self.generator(latents))


def pair_drawing(pair):
    return Drawing(Decoded(pair), 0, {"latents": Input.normal(pair.generator.latents, 1.0)})


FAMILY = replace(
    registry.family("gan"),
    name="pair",
    parts=frozenset({ENCODER, DISCRIMINATOR}),
    network=f"{__name__}:Pair",
    sampler=f"{__name__}:PairSampler",
    drawing=f"{__name__}:pair_drawing",
)


@pytest.fixture
def file(context, tmp_path, monkeypatch) -> Path:
    """The weights of a model of that family, which draws stripes."""
    families = {**registry.known(), "pair": FAMILY}
    monkeypatch.setattr(registry, "known", lambda: families)
    pair = initialised(lambda: Pair(**CONFIG), 0, "pair", CPU).eval()
    with torch.no_grad():
        draws_stripes(pair, "pair")
    weights.save(tmp_path / "pair.safetensors", CONFIG, pair.state_dict())
    return tmp_path / "pair.safetensors"


@pytest.fixture
def made(file) -> Context:
    classifier = Path("models/classifier.safetensors")
    return Context("pair", file, Path("data/prepared"), classifier, Path("params.yaml"), 1, 20_000)


def test_its_digits_are_generated(made, tmp_path):
    assert generate(made, Options.of("1", None, 4, False), tmp_path / "out").startswith("1: 4 of ")
    index = json.loads((tmp_path / "out/generated.json").read_text())
    assert index["model"]["kind"] == "pair"
    assert [row["read"] for row in index["images"]] == [1] * 4


def test_its_latents_are_interpolated_and_traversed(made, tmp_path):
    assert "drawn by the pair with the seed 1" in interpolate(made, "0", "2", 5, 1, tmp_path / "x.png")
    assert "the latents 3, 0" in traverse(made, "1", [3, 0], 2.0, 5, tmp_path / "x.gif")
    assert {path.suffix for path in tmp_path.glob("x.*")} == {".png", ".gif"}


def test_it_is_played_with(made):
    player = Player(made)
    answer = json.loads(player.answer(request := Wish(seed=3, latents={2: 1.5})))
    z, condition = made.sampler.draw(1, generator(3, "play"), None)
    z[0, 2] = 1.5
    with Image.open(io.BytesIO(base64.b64decode(answer["image"]))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), made.sampler.images(z, condition)[0])
    assert player.answer(request) == player.answer(request)
    assert b"data-latent" in player.page()


def test_it_is_exported(file, tmp_path):
    assert export("pair", file, tmp_path / "pair.onnx").endswith(
        "latents [batch, 6] → images [batch, C, H, W] in [0, 1]"
    )
    session = onnxruntime.InferenceSession(tmp_path / "pair.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["genbalance"])["model"] == "pair"
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    (images,) = session.run(["images"], {"latents": z.numpy()})
    drawn = PairSampler(weights.load(file, Pair, CPU)).images(z, None)
    np.testing.assert_allclose(255 * images[:, 0], drawn, atol=1)


def test_it_is_served(file):
    server = Server.load("pair", file, Path("models/classifier.safetensors"), 0.5, 0.3)
    assert server.draw(Request(2, 1, 5)).read.tolist() == [2] * 5


def program(name):
    """A file that MLflow runs."""
    return runpy.run_path(str(Path(genbalance.__file__).parent / "tracking" / name))


@pytest.mark.filterwarnings("ignore:.*[tT]ype hint:UserWarning")  # MLflow's, of its own code
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning")
def test_what_mlflow_runs_knows_it(file):
    trained = program("trained.py")["TrainedNetwork"]()
    trained.load_context(SimpleNamespace(artifacts={"weights": str(file)}, model_config={"kind": "pair"}))
    assert trained.predict(pd.DataFrame({"seed": [1, 2], "count": [2, 1]})).shape == (3, SIDE, SIDE)

    served, config = program("served.py")["ServedDigits"](), {"model": "pair", "mean": 0.5, "std": 0.3}
    files = {"weights": str(file), "judge": "models/classifier.safetensors"}
    served.load_context(SimpleNamespace(artifacts=files, model_config=config))
    answer = served.predict(pd.DataFrame({"digit": [2], "count": [3]}))
    assert answer[["row", "read"]].to_numpy().tolist() == [[0, 2]] * 3
