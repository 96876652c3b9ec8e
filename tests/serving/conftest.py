"""Small untrained models and a judge, as files."""

from pathlib import Path

import pytest
import torch

from genbalance import weights
from genbalance.compute import initialised
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

CPU = torch.device("cpu")
SMALL = {
    "plain": (Gan, {"arch": "mlp", "size": 12, "latents": 4, "width": 4}),
    "clustered": (Gan, {"arch": "dcgan", "size": 12, "latents": 4, "width": 4, "conditions": 5}),
    "conditional": (Gan, {"arch": "dcgan", "size": 12, "latents": 4, "width": 4, "conditions": 6, "classes": 3}),
    "vae": (Vae, {"arch": "mlp", "likelihood": "bernoulli", "size": 12, "latents": 4, "width": 16}),
    "conditional vae": (
        Vae,
        {"arch": "conv", "likelihood": "gaussian", "size": 12, "latents": 4, "width": 32, "prior": "flow"}
        | {"classes": 3},
    ),
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each of the models, and judge.safetensors."""
    folder = tmp_path_factory.mktemp("models")
    for name, (build, config) in SMALL.items():
        config = {"log_sigma_floor": -3.0} | config if build is Vae else config
        model = initialised(lambda build=build, config=config: build(**config), 1, name, CPU)
        weights.save(folder / f"{name}.safetensors", config, model.state_dict())
    judge = {"size": 12, "classes": 3, "width": 4}
    state = initialised(lambda: Classifier(**judge), 1, "judge", CPU).state_dict()
    weights.save(folder / "judge.safetensors", judge, state)
    return folder
