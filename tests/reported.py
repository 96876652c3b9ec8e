"""What the stages leave behind, made up: small, of any number of classes and of any size."""

import csv
import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
from committed import PARAMS
from PIL import Image

from genbalance.data.pictures import arranged
from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, known
from genbalance.params import read_params
from genbalance.reporting.front import Front, Metric, Point
from genbalance.reporting.sweep import Sweep, as_json, columns

REPOSITORY = Path(__file__).parents[1]
FAMILIES = {name: known()[name] for name in ("gan", "vae")}
"""The run's, in most tests."""

PIPELINE = """\
stages:
  prepare: {cmd: "", params: [seed, data], outs: [data]}
  train_classifier: {cmd: "", params: [seed, classifier], deps: [data], outs: [models/classifier]}
  train_gan: {cmd: "", params: [lambda, gan], deps: [data], outs: [models/gan]}
  train_vae: {cmd: "", params: [beta, vae], deps: [data], outs: [models/vae]}
  evaluate:
    cmd: ""
    matrix: {model: [gan, vae]}
    deps: [data, models/classifier, "models/${item.model}"]
    outs: ["artifacts/${item.model}"]
  report: {cmd: "", deps: [data, artifacts/gan, artifacts/vae, models/gan], outs: [reports]}
"""

FRONT = Front(
    name="front",
    metrics=(Metric("evaluate_vae.rate", False), Metric("evaluate_vae.fd_test", False)),
    labels=("VAE: rate [nats]", "VAE: Fréchet distance"),
    shared={"lambda": 2.0, "vae.epochs": 5, "families.gan": False, "data.path": "/home/me/digits"},
    points=tuple(
        Point(f"front-{place:03d}", {"beta": beta, "vae.arch": arch}, (30 / (1 + beta), beta + 2.0 * (arch == "conv")))
        for place, (beta, arch) in enumerate(product((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), ("mlp", "conv")), start=1)
    ),
)
"""Six runs of perceptrons, each better than the one of convolutions at its β."""

SURE = (
    *("fd_test", "kid_test", "classifier_score", "precision", "recall", "density", "coverage", "nn_accuracy"),
    *(
        "authenticity",
        "nearer_train",
        "membership_auc_distance",
        "membership_tpr_distance",
        "mse",
        "psnr",
        "ssim",
        "classifier_agreement",
    ),
    *("d_accuracy_train", "d_accuracy_test", "d_accuracy_generated", "nelbo", "rate", "distortion", "nll"),
    "probe_accuracy",
)
BOTH = {
    **{"n": 100, "fd_floor": 3.114, "fd_ceiling": 1210.5, "kid_floor": -0.00021, "kid_ceiling": 2.4113},
    **{"kid_std": 0.0131, "classifier_score_real": 3.713, "class_share_min": 0.05, "class_share_max": 0.2},
    **{"fd_infinity_floor": -0.17, "precision_real": 0.951, "recall_real": 0.935, "density_real": 0.997},
    **{"coverage_real": 0.972, "nn_accuracy_real": 0.507, "vendi_real": 11.31, "pairwise_distance_real": 12.73},
    **{"class_distance_real": 0.033, "authenticity_real": 0.615, "nearer_train_real": 0.5225},
    **{"copying_z_real": -0.049, "share_worst_to_mean": 0.42, "fd_class_mean": 34.5, "fd_class_worst": 39},
    **{"fd_worst_to_mean": 1.13, "membership_auc_distance_real": 0.502, "membership_tpr_distance_real": 0.008},
    "membership_n": 90,
}
OF_SAMPLES = {
    "gan": {
        **{"fd_test": 22.81, "fd_infinity": 20.2, "kid_test": 0.0391, "classifier_score": 3.204},
        **{"precision": 0.749, "recall": 0.94, "density": 0.37, "coverage": 0.452, "nn_accuracy": 0.815},
        **{"vendi": 12.28, "pairwise_distance": 10.11, "class_distance": 0.114, "authenticity": 0.859},
        **{"membership_auc_distance": 0.5235, "membership_tpr_distance": 0.013},
        **{"nearer_train": 0.41, "copying_z": 9.778, "mse": 0.00777, "psnr": 22.34, "ssim": 0.924},
        **{"classifier_agreement": 0.96, "reconstructed": 24},
    },
    "vae": {
        **{"fd_test": 61.37, "fd_infinity": 58.8, "kid_test": 0.1482, "classifier_score": 2.11},
        **{"precision": 0.693, "recall": 0.849, "density": 0.352, "coverage": 0.461, "nn_accuracy": 0.858},
        **{"vendi": 8.899, "pairwise_distance": 10.46, "class_distance": 0.252, "authenticity": 0.87},
        **{"membership_auc_distance": 0.5123, "membership_tpr_distance": 0.018},
        **{"nearer_train": 0.445, "copying_z": 8.946, "mse": 0.00933, "psnr": 20.71, "ssim": 0.8812},
        **{"classifier_agreement": 0.957, "reconstructed": 100},
    },
}
OF_PARTS = {
    DISCRIMINATOR: {
        **{"d_accuracy_train": 0.393, "d_accuracy_test": 0.284, "d_accuracy_generated": 0.951},
        **{"d_auc_train": 0.83, "d_auc_test": 0.77},
        **{"membership_auc_logit": 0.87, "membership_tpr_logit": 0.06},
    },
    ENCODER: {
        **{"rate": 25.2, "active_units": 5, "probe_accuracy": 0.904, "fd_reconstructions": 3.77},
        **{"prior_discrepancy": 0.0084, "prior_discrepancy_floor": -0.0002},
    },
    LIKELIHOOD: {
        **{"nelbo": 101.3, "distortion": 76.1, "nll": 97.4, "nll_draws": 200},
        **{"membership_auc_elbo": 0.537, "membership_tpr_elbo": 0.01},
    },
}


OF_CLASSES = {
    *("classifier_score", "classifier_score_real", "class_distance", "class_distance_real", "classifier_agreement"),
    *("class_share_min", "class_share_max", "share_worst_to_mean", "fd_class_mean", "fd_class_worst"),
    *("fd_worst_to_mean", "probe_accuracy"),
}
"""What is left out where there are no two classes."""


def evaluation(family, histogram):
    """metrics/evaluate_<family>.json; every metric of SURE has an interval of a tenth to either side."""
    own = OF_SAMPLES.get(family.name, OF_SAMPLES["gan"])
    for part in family.parts:
        own = own | OF_PARTS[part]
    ci95 = {key: {"low": 0.9 * own[key], "high": 1.1 * own[key]} for key in SURE if key in own}
    if len(histogram) > 1:
        return BOTH | own | {"class_histogram": histogram, "ci95": ci95}
    kept = {key: value for key, value in (BOTH | own).items() if key not in OF_CLASSES}
    return kept | {"ci95": {key: ends for key, ends in ci95.items() if key in kept}}


def write(root, classes=10, side=8, epochs=3, names=(), channels=1):
    """Everything that the report reads of all known families, below ``root``; without two classes what such images
    leave."""
    several = classes > 1
    called = dict(enumerate(names)) if names else {label: str(label) for label in range(classes)}
    families = known().values()
    rng = np.random.default_rng(0)

    def table(name, columns, rows):
        path = root / "artifacts" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def picture(name, rows=10):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tiles = rng.integers(0, 256, (rows * 10, side, side), dtype=np.uint8)
        Image.fromarray(arranged(tiles, 10)).save(path)

    def metrics(name, values):
        path = root / "metrics" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")

    def curves(name, *columns):
        table(
            f"{name}/curves",
            ("epoch", *columns),
            [(e, *rng.uniform(0.1, 1, len(columns))) for e in range(1, epochs + 1)],
        )

    curves("train_classifier", "train_loss", "val_loss", "val_accuracy")
    actual = rng.integers(0, classes, (5 * classes, 2)) if several else 90 * rng.integers(0, 4, (40, 2))
    table("train_classifier/confusion", ("actual", "predicted"), actual.tolist())
    for family in families:
        name = family.name
        curves(f"train_{name}", *(line.column for chart in family.charts for line in chart.lines))
        for grid in family.grids:
            picture(f"metrics/train_{name}_{grid}")
        for epoch in range(1, epochs + 1):
            picture(f"artifacts/train_{name}/samples/epoch_{epoch:04d}")
        table(
            f"evaluate_{name}/classes",
            (
                *("class", "generated", "generated_low", "generated_high", "real"),
                *("n", "fd", "fd_low", "fd_high", "fd_floor", "confidence"),
            ),
            [
                (
                    c,
                    1 / classes,
                    0.9 / classes,
                    1.2 / classes,
                    1 / classes,
                    20,
                    30 + c,
                    28,
                    34 + c,
                    2 + c / classes,
                    0.8,
                )
                for c in range(classes)
                if several
            ],
        )
        for rows in ("nearest", "reconstructions", "interpolations", "traversals"):
            picture(f"artifacts/evaluate_{name}/{rows}")
        table(f"evaluate_{name}/interpolations", ("from", "to"), [(0, 1), (2, 3)])
        table(f"evaluate_{name}/traversals", ("latent", "class", "low", "high"), [(5, 3, -2, 2), (0, 3, -2, 2)])
        if ENCODER in family.parts:
            table(f"train_{name}/kl_per_latent", ("latent", "kl"), [(latent, rng.uniform()) for latent in range(6)])
            codes = [(*rng.normal(size=2), place % max(1, classes)) for place in range(100)]
            table(f"evaluate_{name}/codes", ("x", "y", "class"), codes)

    params = read_params(PARAMS).flat() | {"gan.epochs": 8, "data.path": "elsewhere"}
    for key, name, seeds in (("beta", "vae", (42,)), ("lambda", "gan", (1, 2))):
        values = {
            metric: tuple(tuple(v + seed / 100 for seed in seeds) for v in (0.5, 1.0, 2.0))
            for metric in columns(known()[name])
        }
        sweep = Sweep(key, params, (0.5, 1.0, 2.0), (seeds,) * 3, values, key)
        metrics(f"sweeps/{key}", as_json(sweep))
        for grid in sweep.grids:
            for value in ("0.5", "1", "2"):
                picture(f"metrics/sweeps/{key}/{grid}_{value}", rows=4)

    metrics("sweeps/front", FRONT.as_json())

    per_class = {called[c]: round(1 - 0.01 * (c % 50), 6) for c in range(classes)}
    shape = {"classes": classes, "channels": channels, "height": side, "width": side}
    shape |= {"class_names": called} if names else {}
    metrics(
        "prepare",
        {"source": "bundled", "title": "some digits", "train": 360, "val": 40, "test": 100}
        | shape
        | {"mean": 0.1307, "std": 0.3081, "files": {"digits.csv.gz": "00112233445566778899aabbccddeeff"}},
    )
    metrics(
        "train_classifier",
        {"epochs": 2, "val_accuracy": 0.985, "test_accuracy": 0.978, "test_nll": 0.0712, "ece": 0.00931}
        | ({"per_class_accuracy": per_class} if several else {}),
    )
    for family in families:
        training = {"epochs": epochs, "parameters": 1128273, "machine": "cpu of some kind, threads 2"}
        training |= {chart.kept: 3 for chart in family.charts if chart.kept}
        training |= {"active_units": 4} if ENCODER in family.parts else {}
        metrics(f"train_{family.name}", training)
        metrics(f"evaluate_{family.name}", evaluation(family, per_class))
    (root / "models").mkdir()
    for name in ("classifier", *known()):
        (root / "models" / f"{name}.safetensors").write_bytes(name.encode())
    shutil.copy(PARAMS, root)
    shutil.copy(REPOSITORY / "requirements.txt", root)
    (root / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")


def write_curve(folder, betas):
    """What a VAE of a range of β leaves in the ``folder`` of its evaluation: rates from 30 nats down in steps of 10."""
    (folder / "curve").mkdir()
    columns = ("rate", "distortion", "nelbo", "active_units", "fd_test", "fd_reconstructions", "classifier_score")
    with (folder / "curve.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["beta", *columns, "kl_0", "kl_1"])
        for place, beta in enumerate(betas):
            rows.writerow([beta, 30 - 10 * place, 70 + 10 * place, 100, 4, 5 + place, 1 + place, 8, 5, 0.5])
    for beta in betas:
        for grid in ("samples", "reconstructions"):
            tiles = np.full((40, 8, 8), 100, dtype=np.uint8)
            Image.fromarray(arranged(tiles, 10)).save(folder / "curve" / f"{grid}_{beta:g}.png")
