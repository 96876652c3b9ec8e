"""Small models that were never trained, and classifiers of their images, as files."""

import re
from pathlib import Path

import pytest
import torch
from committed import PARAMS

from genbalance.data import prepared
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.device import initialised

SIDE, CLASSES, CPU = 8, 3, torch.device("cpu")
COMMON = {"arch": "mlp", "shape": [1, SIDE, SIDE], "latents": 6}
MODELS = {
    "gan": (Gan, COMMON | {"width": 4, "conditions": 5}),
    "gan_of_classes": (Gan, COMMON | {"width": 4, "conditions": 6, "classes": CLASSES}),
    "vae": (Vae, COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0}),
    "vae_of_classes": (
        Vae,
        COMMON | {"likelihood": "gaussian", "width": 32, "log_sigma_floor": -6.0, "classes": CLASSES},
    ),
}


def stripes(levels):
    """Images in [0, 1] of three stripes, of these levels [n, 3]."""
    return levels[:, torch.arange(SIDE) * CLASSES // SIDE, None].expand(-1, -1, SIDE)


def draws_stripes(model, name):
    """Makes the last layer of an untrained network draw three stripes, each bright or dark by chance, few of them black
    or white: two images are not to be alike."""
    last = model.decoder[-2] if isinstance(model, Vae) else model.generator.net[-3]
    noise = torch.manual_seed(0)
    before = []
    hook = last.register_forward_hook(lambda _, inputs, __: before.append(inputs[0]))
    z, labels = torch.randn(500, 6, generator=noise), torch.arange(500) % CLASSES if name.endswith("classes") else None
    if isinstance(model, Vae):
        model.sample(z, labels)
    else:
        model.generator(z, model.draw_conditions(500, noise, labels) if isinstance(model, Gan) else None)
    hook.remove()
    levels = torch.randn(CLASSES, last.in_features, generator=noise)
    found = before[0] @ levels.T
    scale = 2 / found.std(dim=0)
    pixels = len(last.bias) // SIDE**2
    shown = stripes(torch.eye(CLASSES)).flatten(1).repeat(1, pixels)
    last.weight.copy_(shown.T @ (levels * scale[:, None]))
    last.bias.copy_(-(found.mean(dim=0) * scale) @ shown)


@pytest.fixture(scope="session")
def unlearned(tmp_path_factory):
    """A repository with params, stripes for digits (class k is bright in its third), a classifier that learned these,
    and models that draw stripes without having learned it."""
    folder = tmp_path_factory.mktemp("unlearned")
    text = PARAMS.read_text(encoding="utf-8")
    for key, value in (("device", "cpu"), ("threads", "1")):
        text = re.sub(rf"^(  {key}: +)\w+", rf"\g<1>{value}", text, flags=re.MULTILINE)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    noise, labels = torch.Generator().manual_seed(0), torch.arange(90) % CLASSES
    levels = 0.3 * torch.rand(90, CLASSES, generator=noise)
    levels[torch.arange(90), labels] += 0.6
    images = stripes(levels) + 0.1 * torch.rand(90, SIDE, SIDE, generator=noise)
    split = prepared.Split((255 * images).byte().numpy(), labels.numpy())
    prepared.save(
        prepared.Prepared(split, split, split, "made", "Stripes", CLASSES, 0.5, 0.3), folder / "data/prepared"
    )

    config = {"shape": [1, SIDE, SIDE], "classes": CLASSES, "width": 4}
    extractor = initialised(lambda: Classifier(**config), 0, "judge", CPU)
    optimizer = torch.optim.AdamW(extractor.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(extractor((images[:, None] - 0.5) / 0.3), labels).backward()
        optimizer.step()
    weights.save(folder / "models/classifier.safetensors", config, extractor.state_dict())
    for name, (build, config) in MODELS.items():
        model = initialised(lambda build=build, config=config: build(**config), 0, name, CPU).eval()
        with torch.no_grad():
            draws_stripes(model, name)
        weights.save(folder / f"models/{name}.safetensors", config, model.state_dict())
    return folder


@pytest.fixture
def context(unlearned, settings, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(unlearned)
    return unlearned


SMALL = {
    "plain": (Gan, {"arch": "mlp", "shape": [1, 12, 12], "latents": 4, "width": 4}),
    "clustered": (Gan, {"arch": "dcgan", "shape": [1, 12, 12], "latents": 4, "width": 4, "conditions": 5}),
    "conditional": (
        Gan,
        {"arch": "dcgan", "shape": [1, 12, 12], "latents": 4, "width": 4, "conditions": 6, "classes": 3},
    ),
    "vae": (Vae, {"arch": "mlp", "likelihood": "bernoulli", "shape": [1, 12, 12], "latents": 4, "width": 16}),
    "conditional vae": (
        Vae,
        {"arch": "conv", "likelihood": "gaussian", "shape": [1, 12, 12], "latents": 4, "width": 32, "prior": "flow"}
        | {"classes": 3},
    ),
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each of the models, and classifier.safetensors."""
    folder = tmp_path_factory.mktemp("models")
    for name, (build, config) in SMALL.items():
        config = {"log_sigma_floor": -3.0} | config if build is Vae else config
        model = initialised(lambda build=build, config=config: build(**config), 1, name, CPU)
        weights.save(folder / f"{name}.safetensors", config, model.state_dict())
    config = {"shape": [1, 12, 12], "classes": 3, "width": 4}
    state = initialised(lambda: Classifier(**config), 1, "judge", CPU).state_dict()
    weights.save(folder / "classifier.safetensors", config, state)
    return folder
