"""The evaluation of a GAN, on untrained networks."""

import numpy as np
import pytest
import torch
from vendors import VENDORS_OWN, Recorder

from genbalance.evaluation import gan as evaluation
from genbalance.evaluation.gan import evaluate
from genbalance.models.gan import Gan
from genbalance.runtime.device import initialised
from genbalance.runtime.io import numbers

FIGURES = {
    *("classes.csv", "nearest.png", "reconstructions.png"),
    *("interpolations.png", "interpolations.csv", "traversals.png", "traversals.csv"),
}
OWN = ["d_accuracy_train", "d_accuracy_test", "d_accuracy_generated"]
QUALITY = ["mse", "psnr", "ssim", "classifier_agreement"]
ATTACKS = [f"membership_{m}_{name}" for name in ("distance", "distance_real", "logit") for m in ("auc", "tpr")]


def gan(**config):
    build = {"arch": "mlp", "shape": [1, 8, 8], "latents": 6, "width": 4} | config
    return initialised(lambda: Gan(**build), 0, "gan", torch.device("cpu")).eval()


COLUMNS = "class,generated,generated_low,generated_high,real,n,fd,fd_low,fd_high,fd_floor,confidence"
KINDS = {
    "plain": {},
    "of clusters": {"conditions": 5},
    "of classes": {"conditions": 6, "classes": 3},
    "of styles": {"arch": "style", "conditions": 5, "truncation": 0.7},
    "dense": {"arch": "dense"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_come_in_one_order_with_an_interval_for_each_mean_and_figures_beside_them(
    kind, striped, striped_extractor, cheap, tmp_path
):
    metrics = evaluate(gan(**KINDS[kind]), striped, striped_extractor, cheap, 0, tmp_path / "out")
    condition = ["condition_accuracy"] if kind == "of classes" else []
    after = [*metrics][[*metrics].index("ci95") + 1 :]
    assert after == [*OWN, *QUALITY, *condition, "d_auc_train", "d_auc_test", "reconstructed", "membership_n", *ATTACKS]
    with_interval = [*QUALITY, *condition, *OWN, *ATTACKS]
    assert [*metrics["ci95"]][-len(with_interval) :] == with_interval
    for name in with_interval:
        assert metrics["ci95"][name]["low"] <= metrics[name] <= metrics["ci95"][name]["high"], name
    assert np.isfinite([*numbers(metrics).values()]).all()
    assert (metrics["n"], metrics["reconstructed"], metrics["membership_n"]) == (40, 5, 40)
    own = {"style_mixing.png"} if kind == "of styles" else set()
    assert {path.name for path in (tmp_path / "out").iterdir()} == FIGURES | own


def test_nothing_of_the_default_gan_s_evaluation_is_in_float32_what_each_vendor_has_of_its_own(
    striped, striped_extractor, cheap, tmp_path
):
    with Recorder() as recorder:
        evaluate(gan(arch="dcgan", conditions=5), striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert recorder.of_float32 >= {"add", "mul"}
    assert recorder.of_float32 & VENDORS_OWN <= {"exp"}  # of the window of SSIM, as torchmetrics has it


def test_the_seed_decides_all_of_it(striped, striped_extractor, cheap, tmp_path):
    model = gan(conditions=5)
    one, same, other = (
        evaluate(model, striped, striped_extractor, cheap, seed, tmp_path / "out") for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_discriminator_that_takes_everything_for_real_is_right_on_real_images_alone(
    striped, striped_extractor, cheap, tmp_path
):
    model = gan()
    with torch.no_grad():
        model.discriminator.head.weight.zero_()
        model.discriminator.head.bias.fill_(1.0)
    metrics = evaluate(model, striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert [metrics[name] for name in OWN] == [1, 1, 0]
    assert metrics["d_auc_train"] == metrics["d_auc_test"] == metrics["membership_auc_logit"] == 0.5


def test_nothing_is_left_in_the_folder_where_the_evaluation_fails(
    striped, striped_extractor, cheap, tmp_path, monkeypatch
):
    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(evaluation, "save_figures", broken)
    with pytest.raises(OSError, match="no space left"):
        evaluate(gan(), striped, striped_extractor, cheap, 0, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_without_classes_nothing_is_measured_by_class(unlabelled, rotations_extractor, cheap, tmp_path):
    metrics = evaluate(gan(shape=[3, 8, 8]), unlabelled, rotations_extractor, cheap, 0, tmp_path / "out")
    of_classes = {"class_histogram", "classifier_agreement"} | {
        name for name in metrics if name.startswith(("class", "fd_class", "fd_worst", "share_worst"))
    }
    assert not of_classes & metrics.keys()
    assert not of_classes & metrics["ci95"].keys()
    assert {"fd_test", "kid_test", "precision", "authenticity", "copying_z", "d_auc_test", "ssim"} <= metrics.keys()
    assert np.isfinite([*numbers(metrics).values()]).all()
    assert {path.name for path in (tmp_path / "out").iterdir()} == FIGURES
    assert (tmp_path / "out/classes.csv").read_text() == f"{COLUMNS}\n"
    ends = (tmp_path / "out/interpolations.csv").read_text().split()
    assert ends == ["from,to", "0,1", "2,3", "4,5", "6,7", "8,9"]
