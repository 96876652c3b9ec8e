"""The evaluation of a VAE, on untrained networks."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from vendors import VENDORS_OWN, Recorder

from genbalance.data.prepared import PARTS
from genbalance.evaluation.kl_decomposition import kl_decomposition
from genbalance.evaluation.vae import evaluate
from genbalance.models.classifier import Classifier
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised
from genbalance.runtime.io import numbers

CPU = torch.device("cpu")
FIGURES = {
    *("classes.csv", "codes.csv", "nearest.png", "reconstructions.png"),
    *("interpolations.png", "interpolations.csv", "traversals.png", "traversals.csv"),
}
QUALITY = ["mse", "psnr", "ssim", "classifier_agreement"]
SCALARS = [
    *("nll_draws", "active_units", "prior_discrepancy", "prior_discrepancy_floor"),
    *("fd_reconstructions", "reconstructed", "membership_n"),
]
ATTACKS = [f"membership_{m}_{name}" for name in ("distance", "distance_real", "elbo") for m in ("auc", "tpr")]

KL_TERMS = ["index_code_mi", "total_correlation", "dimension_wise_kl"]


def vae(**config):
    build = {"arch": "mlp", "likelihood": "bernoulli", "shape": [1, 8, 8], "latents": 6, "width": 32}
    return initialised(lambda: Vae(**(build | {"log_sigma_floor": -6.0} | config)), 0, "vae", CPU).eval()


KINDS = {
    "bernoulli": {},
    "gaussian": {"likelihood": "gaussian"},
    "one sigma": {"likelihood": "gaussian_shared"},
    "mixture": {"likelihood": "logistic_mixture"},
    "flow": {"prior": "flow"},
    "mixture prior": {"prior": "mixture"},
    "vamp": {"prior": "vamp"},
    "ladder": {"arch": "ladder"},
    "ladder of a mixture": {"arch": "ladder", "prior": "mixture"},
    "nvae": {"arch": "nvae"},
    "of classes": {"classes": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_come_in_one_order_with_an_interval_for_each_mean_and_figures_beside_them(
    kind, striped, striped_extractor, cheap, tmp_path
):
    metrics = evaluate(vae(**KINDS[kind]), striped, striped_extractor, cheap, 0, tmp_path / "out")
    condition = ["condition_accuracy"] if kind == "of classes" else []
    bits = ["bits_per_dim"] if kind == "mixture" else []
    own = ["nelbo", "rate", "distortion", *condition, "nll", *bits, "probe_accuracy"]
    after = [*metrics][[*metrics].index("ci95") + 1 :]
    layers = [f"rate_layer_{k + 1}" for k in range({"ladder": 3, "nvae": 7}.get(kind, 0))]
    terms = [] if "arch" in KINDS[kind] else KL_TERMS[:2] if kind in ("flow", "vamp") else KL_TERMS
    assert after == [*own, *QUALITY, "nll_draws", *layers, *terms, *SCALARS[1:], *ATTACKS]
    assert not layers or sum(metrics[name] for name in layers) == pytest.approx(metrics["rate"], rel=1e-4)
    with_interval = [*QUALITY, *own, *ATTACKS]
    assert [*metrics["ci95"]][-len(with_interval) :] == with_interval
    for name in with_interval:
        assert metrics["ci95"][name]["low"] <= metrics[name] <= metrics["ci95"][name]["high"], name
    assert np.isfinite([*numbers(metrics).values()]).all()
    assert (metrics["n"], metrics["reconstructed"], metrics["nll_draws"]) == (40, 40, 3)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FIGURES


def test_nothing_of_the_default_vae_s_evaluation_is_in_float32_what_each_vendor_has_of_its_own(
    striped, striped_extractor, cheap, tmp_path
):
    with Recorder() as recorder:
        evaluate(vae(arch="conv", prior="mixture"), striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert recorder.of_float32 >= {"add", "mul", "exp2", "xlogy"}
    assert recorder.of_float32 & VENDORS_OWN <= {"exp"}  # of the window of SSIM, as torchmetrics has it


def test_the_negative_elbo_is_distortion_plus_rate(striped, striped_extractor, cheap, tmp_path):
    metrics = evaluate(vae(), striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert metrics["nelbo"] == pytest.approx(metrics["distortion"] + metrics["rate"], rel=1e-12)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_terms_of_the_kl_are_those_of_the_test_images_posteriors_given_their_labels(
    classes, striped, striped_extractor, cheap, tmp_path
):
    model = vae(likelihood="gaussian", classes=classes)
    metrics = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "out")
    pixels, labels = torch.from_numpy(striped.test.images)[:, None] / 255, torch.from_numpy(striped.test.labels)
    with torch.no_grad():
        posterior = model.encode(pixels, *([labels] if classes else []))
    noise = torch.randn(posterior.mean.shape, generator=generator(0, "evaluate/vae/kl_terms"))
    expected = kl_decomposition(posterior.mean.numpy(), posterior.stddev.numpy(), noise.numpy())
    assert [metrics[name] for name in KL_TERMS] == pytest.approx([*asdict(expected).values()], rel=1e-4)
    assert metrics["index_code_mi"] <= np.log(len(pixels))


def test_they_do_not_depend_on_which_prior_was_fitted_after_training(striped, striped_extractor, cheap, tmp_path):
    model = vae(prior="mixture")
    before = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "out")
    model.prior.set(torch.ones(1), torch.full((1, 6), 3.0), torch.eye(6)[None])
    after = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert [after[name] for name in KL_TERMS] == [before[name] for name in KL_TERMS]
    assert after["rate"] > before["rate"] + 1


def in_colour(digits):
    """The images as the red channel, with less of it in green and blue."""

    def coloured(split):
        return replace(split, images=np.stack([split.images, split.images // 2, split.images // 3], axis=-1))

    return replace(digits, **{part: coloured(getattr(digits, part)) for part in PARTS})


@pytest.mark.parametrize("channels", [1, 3])
def test_bits_per_dimension_are_the_bound_in_bits_for_each_value_with_its_interval(
    channels, striped, striped_extractor, cheap, tmp_path
):
    digits, extractor = striped, striped_extractor
    if channels == 3:
        digits = in_colour(striped)
        network = initialised(lambda: Classifier([3, 8, 8], 3, 4), 0, "classifier", CPU).eval()
        extractor = replace(striped_extractor, network=network)
    model = vae(likelihood="logistic_mixture", shape=[channels, 8, 8])
    metrics = evaluate(model, digits, extractor, cheap, 0, tmp_path / "out")
    bits = channels * 64 * np.log(2)
    assert metrics["bits_per_dim"] == pytest.approx(metrics["nll"] / bits, rel=1e-12)
    for end in ("low", "high"):
        expected = metrics["ci95"]["nll"][end] / bits
        assert metrics["ci95"]["bits_per_dim"][end] == pytest.approx(expected, rel=1e-12)
    assert 4 < metrics["bits_per_dim"] < 16  # of an untrained model: uniform levels have 8


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


def test_images_that_the_vae_explains_better_are_taken_for_members(striped, striped_extractor, cheap, tmp_path):
    """An untrained decoder's mean is grey everywhere: grey images are likelier than black ones, by their −ELBO."""
    grey, black = (np.full_like(split.images, level) for split, level in ((striped.train, 128), (striped.test, 0)))
    sides = {"train": replace(striped.train, images=grey), "test": replace(striped.test, images=black)}
    metrics = evaluate(
        vae(likelihood="gaussian"), replace(striped, **sides), striped_extractor, cheap, 0, tmp_path / "out"
    )
    assert (metrics["membership_auc_elbo"], metrics["membership_tpr_elbo"]) == (1, 1)
