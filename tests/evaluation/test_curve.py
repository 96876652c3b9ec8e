"""The rate–distortion curve out of one VAE of a range of β."""

import numpy as np
import pandas as pd
import pytest
import torch

from genbalance.data.pixels import UNIT
from genbalance.evaluation.curve import KL, POINTS, values
from genbalance.evaluation.elbo import evaluate_elbo
from genbalance.evaluation.vae import evaluate
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised, uploaded
from genbalance.runtime.io import numbers

CPU = torch.device("cpu")
ENDS = [0.1, 10.0]


def vae(**config):
    build = {"arch": "mlp", "likelihood": "bernoulli", "shape": [1, 8, 8], "latents": 6, "width": 32}
    return initialised(lambda: Vae(**(build | {"log_sigma_floor": -6.0} | config)), 0, "vae", CPU).eval()


def shaken(**config):
    model = vae(beta_range=ENDS, beta=1.0, **config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return model


def curve(model, striped, striped_extractor, cheap, folder):
    evaluate(model, striped, striped_extractor, cheap, 0, folder)
    return pd.read_csv(folder / "curve.csv").set_index("beta", drop=False)


def test_its_values_are_evenly_spaced_from_end_to_end_and_short():
    found = values(*ENDS)
    assert len(found) == POINTS
    assert (found[0], found[10], found[-1]) == (0.1, 1.0, 10.0)
    np.testing.assert_allclose(np.diff(np.log(found)), np.log(100) / 20, rtol=0.05)
    assert max(len(f"{beta:g}") for beta in found) <= 5


@pytest.mark.parametrize("config", [{}, {"prior": "mixture"}, {"classes": 3}], ids=str)
def test_each_point_is_what_the_model_has_at_that_beta_with_a_standard_normal_prior(
    config, striped, striped_extractor, cheap, tmp_path
):
    model = shaken(**config)
    if config.get("prior"):
        model.prior.set(torch.ones(1), torch.full((1, 6), 3.0), torch.eye(6)[None])
    found = curve(model, striped, striped_extractor, cheap, tmp_path / "out")
    plain = shaken(**{**config, "prior": "normal"})
    pixels = uploaded(striped.test.images, UNIT, CPU)
    labels = torch.from_numpy(striped.test.labels) if config.get("classes") else None
    for beta in (0.1, 1.0, 10.0):
        with plain.at(beta):
            expected = evaluate_elbo(plain, pixels, generator(0, "evaluate/vae/curve/test"), labels)
        row = found.loc[beta]
        assert row["rate"] == pytest.approx(expected.rate, rel=1e-4)
        assert row["nelbo"] == pytest.approx(expected.loss(1.0), rel=1e-4)
        assert row["nelbo"] == pytest.approx(row["rate"] + row["distortion"], rel=1e-4)
        np.testing.assert_allclose(row[[f"{KL}{latent}" for latent in range(6)]].astype(float), expected.kl, rtol=1e-3)
        terms = row["index_code_mi"] + row["total_correlation"] + row["dimension_wise_kl"]
        assert terms == pytest.approx(row["rate"], rel=0.5, abs=0.5)
    assert np.isfinite(found.to_numpy()).all()


def test_every_point_has_its_pictures_and_a_model_without_a_range_has_no_curve(
    striped, striped_extractor, cheap, tmp_path
):
    curve(shaken(), striped, striped_extractor, cheap, tmp_path / "out")
    names = {f"{grid}_{beta:g}.png" for grid in ("samples", "reconstructions") for beta in values(*ENDS)}
    assert {path.name for path in (tmp_path / "out" / "curve").iterdir()} == names
    evaluate(vae(), striped, striped_extractor, cheap, 0, tmp_path / "plain")
    assert not (tmp_path / "plain" / "curve.csv").exists()


def test_the_metrics_of_the_run_are_those_at_its_own_beta(striped, striped_extractor, cheap, tmp_path):
    model = shaken()
    metrics = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "out")
    with model.at(10.0):
        others = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "others")
    assert numbers(metrics)["rate"] == pytest.approx(
        evaluate_elbo(model, uploaded(striped.test.images, UNIT, CPU), generator(0, "evaluate/vae/test")).rate,
        rel=1e-9,
    )
    assert metrics["rate"] != others["rate"]


def test_the_probe_at_the_runs_own_beta_is_that_of_the_run(striped, striped_extractor, cheap, tmp_path):
    """With a Gaussian likelihood, where the encoder sees the images themselves."""
    metrics = evaluate(shaken(likelihood="gaussian"), striped, striped_extractor, cheap, 0, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "curve.csv").set_index("beta")
    assert found["probe_accuracy"][1.0] == pytest.approx(numbers(metrics)["probe_accuracy"])
