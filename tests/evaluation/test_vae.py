"""The evaluation of a VAE, on untrained networks."""

import numpy as np
import pandas as pd
import pytest
import torch

from genbalance.evaluation.vae import evaluate
from genbalance.models.vae import Vae
from genbalance.runtime.device import initialised
from genbalance.runtime.io import numbers

FIGURES = {
    *("classes.csv", "codes.csv", "nearest.png", "reconstructions.png"),
    *("interpolations.png", "interpolations.csv", "traversals.png", "traversals.csv"),
}
QUALITY = ["mse", "psnr", "ssim", "classifier_agreement"]
SCALARS = [
    *("nll_draws", "active_units", "prior_discrepancy", "prior_discrepancy_floor"),
    *("fd_reconstructions", "reconstructed"),
]


def vae(**config):
    build = {"arch": "mlp", "likelihood": "bernoulli", "size": 8, "latents": 6, "width": 32, "log_sigma_floor": -6.0}
    return initialised(lambda: Vae(**(build | config)), 0, "vae", torch.device("cpu")).eval()


KINDS = {
    "bernoulli": {},
    "gaussian": {"likelihood": "gaussian"},
    "flow": {"prior": "flow"},
    "of classes": {"classes": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_come_in_one_order_with_an_interval_for_each_mean_and_figures_beside_them(
    kind, striped, striped_extractor, cheap, tmp_path
):
    metrics = evaluate(vae(**KINDS[kind]), striped, striped_extractor, cheap, 0, tmp_path / "out")
    condition = ["condition_accuracy"] if kind == "of classes" else []
    own = ["nelbo", "rate", "distortion", *condition, "nll", "probe_accuracy"]
    after = [*metrics][[*metrics].index("ci95") + 1 :]
    assert after == [*own, *QUALITY, *SCALARS]
    assert [*metrics["ci95"]][-len([*QUALITY, *own]) :] == [*QUALITY, *own]
    for name in [*own, *QUALITY]:
        assert metrics["ci95"][name]["low"] <= metrics[name] <= metrics["ci95"][name]["high"], name
    assert np.isfinite([*numbers(metrics).values()]).all()
    assert (metrics["n"], metrics["reconstructed"], metrics["nll_draws"]) == (40, 40, 3)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FIGURES


def test_the_negative_elbo_is_distortion_plus_rate(striped, striped_extractor, cheap, tmp_path):
    metrics = evaluate(vae(), striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert metrics["nelbo"] == pytest.approx(metrics["distortion"] + metrics["rate"], rel=1e-12)


def test_the_seed_decides_all_of_it(striped, striped_extractor, cheap, tmp_path):
    model = vae(classes=3)
    one, same, other = (
        evaluate(model, striped, striped_extractor, cheap, seed, tmp_path / "out") for seed in (1, 1, 2)
    )
    assert one == same != other


def test_the_map_has_a_row_for_each_test_image(striped, striped_extractor, cheap, tmp_path):
    evaluate(vae(), striped, striped_extractor, cheap, 0, tmp_path / "out")
    shown = pd.read_csv(tmp_path / "out/codes.csv")
    assert list(shown.columns) == ["x", "y", "class"]
    assert shown["class"].tolist() == striped.test.labels.tolist()
