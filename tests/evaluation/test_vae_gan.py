"""The evaluation of a VAE-GAN and of a VAE on images without classes, of untrained networks."""

import csv

import numpy as np
import pytest
import torch

from genbalance.evaluation import vae as vaes
from genbalance.evaluation import vae_gan as vae_gans
from genbalance.models.vae import Vae
from genbalance.models.vae_gan import VaeGan
from genbalance.runtime.device import initialised
from genbalance.runtime.io import numbers

SHAPE = [3, 8, 8]
CPU = torch.device("cpu")
VAE = {"arch": "mlp", "likelihood": "gaussian", "shape": SHAPE, "latents": 6, "width": 32, "log_sigma_floor": -6.0}
MODELS = {
    "vae_gan": (vae_gans.evaluate, VaeGan, {"shape": SHAPE, "latents": 6, "width": 4, "encoder_width": 16}),
    "vae": (vaes.evaluate, Vae, VAE),
}


@pytest.mark.parametrize("name", MODELS)
def test_without_classes_codes_are_mapped_and_not_probed(name, unlabelled, rotations_extractor, cheap, tmp_path):
    evaluate, build, arguments = MODELS[name]
    model = initialised(lambda: build(**arguments), 0, name, CPU).eval()
    metrics = evaluate(model, unlabelled, rotations_extractor, cheap, 0, tmp_path / "out")
    assert not {"probe_accuracy", "classifier_agreement", "class_histogram"} & {*metrics, *metrics["ci95"]}
    assert {"rate", "active_units", "prior_discrepancy", "fd_reconstructions", "mse"} <= metrics.keys()
    assert np.isfinite([*numbers(metrics).values()]).all()
    with (tmp_path / "out/codes.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 40
    assert {row["class"] for row in rows} == {"0"}
    assert len({row["x"] for row in rows}) > 30
