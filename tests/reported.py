"""What the stages leave behind, made up: small, of any number of classes and of any size."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
from committed import PARAMS
from PIL import Image

from genbalance.params import read_params
from genbalance.reporting.sweep import COLUMNS, PICTURES, Sweep, as_json, model

REPOSITORY = Path(__file__).parents[1]

PIPELINE = """\
prepare: {after: [], params: [seed, data]}
train_classifier: {after: [prepare], params: [seed, classifier]}
train_gan: {after: [prepare], params: [lambda, gan]}
train_vae: {after: [prepare], params: [beta, vae]}
evaluate@gan: {after: [train_classifier, train_gan], params: []}
evaluate@vae: {after: [train_classifier, train_vae], params: []}
report: {after: [evaluate@gan, evaluate@vae], params: []}
"""


SURE = (
    *("fd_test", "kid_test", "classifier_score", "precision", "recall", "density", "coverage", "nn_accuracy"),
    *("authenticity", "nearer_train", "mse", "psnr", "ssim", "classifier_agreement"),
    *("d_accuracy_train", "d_accuracy_test", "d_accuracy_generated", "nelbo", "rate", "distortion", "nll"),
    "probe_accuracy",
)


def evaluation(model, histogram):
    """metrics/evaluate_<model>.json; every metric of SURE has an interval of a tenth to either side."""
    both = {
        **{"n": 100, "fd_floor": 3.114, "fd_ceiling": 1210.5, "kid_floor": -0.00021, "kid_ceiling": 2.4113},
        **{"kid_std": 0.0131, "classifier_score_real": 3.713, "class_share_min": 0.05, "class_share_max": 0.2},
        **{"fd_infinity_floor": -0.17, "precision_real": 0.951, "recall_real": 0.935, "density_real": 0.997},
        **{"coverage_real": 0.972, "nn_accuracy_real": 0.507, "vendi_real": 11.31, "pairwise_distance_real": 12.73},
        **{"class_distance_real": 0.033, "authenticity_real": 0.615, "nearer_train_real": 0.5225},
        **{"copying_z_real": -0.049, "share_worst_to_mean": 0.42, "fd_class_mean": 34.5, "fd_class_worst": 39},
        **{"fd_worst_to_mean": 1.13, "class_histogram": histogram},
    }
    own = {
        "gan": {
            **{"fd_test": 22.81, "fd_infinity": 20.2, "kid_test": 0.0391, "classifier_score": 3.204},
            **{"precision": 0.749, "recall": 0.94, "density": 0.37, "coverage": 0.452, "nn_accuracy": 0.815},
            **{"vendi": 12.28, "pairwise_distance": 10.11, "class_distance": 0.114, "authenticity": 0.859},
            **{"nearer_train": 0.41, "copying_z": 9.778, "d_accuracy_train": 0.393, "d_accuracy_test": 0.284},
            **{
                "d_accuracy_generated": 0.951,
                "d_auc_train": 0.83,
                "d_auc_test": 0.77,
                "mse": 0.00777,
                "psnr": 22.34,
                "ssim": 0.924,
            },
            **{"classifier_agreement": 0.96, "reconstructed": 24},
        },
        "vae": {
            **{"fd_test": 61.37, "fd_infinity": 58.8, "kid_test": 0.1482, "classifier_score": 2.11},
            **{"precision": 0.693, "recall": 0.849, "density": 0.352, "coverage": 0.461, "nn_accuracy": 0.858},
            **{"vendi": 8.899, "pairwise_distance": 10.46, "class_distance": 0.252, "authenticity": 0.87},
            **{"nearer_train": 0.445, "copying_z": 8.946, "nelbo": 101.3, "rate": 25.2, "distortion": 76.1},
            **{"nll": 97.4, "nll_draws": 200, "active_units": 5, "probe_accuracy": 0.904, "mse": 0.00933},
            **{"psnr": 20.71, "ssim": 0.8812, "classifier_agreement": 0.957, "fd_reconstructions": 3.77},
            **{"prior_discrepancy": 0.0084, "prior_discrepancy_floor": -0.0002, "reconstructed": 100},
        },
    }[model]
    ci95 = {key: {"low": 0.9 * own[key], "high": 1.1 * own[key]} for key in SURE if key in own}
    return both | own | {"ci95": ci95}


def write(root, classes=10, side=8, epochs=3):
    """Everything that the report reads, below ``root``."""
    rng = np.random.default_rng(0)

    def table(name, columns, rows):
        path = root / "artifacts" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def picture(name, rows=10):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = rows * (side + 1) + 1, 10 * (side + 1) + 1
        Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)).save(path)

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
    accuracies = [f"d_accuracy_{of}" for of in ("real", "generated", "held_out")]
    curves("train_gan", "loss_d", "loss_g", "loss_total", *accuracies, "grad_norm_d", "grad_norm_g")
    curves("train_vae", *(f"{s}_{t}" for s in ("train", "val") for t in ("loss", "distortion", "rate")), "active_units")
    table("train_classifier/confusion", ("actual", "predicted"), rng.integers(0, classes, (5 * classes, 2)).tolist())
    table("train_vae/kl_per_latent", ("latent", "kl"), [(latent, rng.uniform()) for latent in range(6)])
    for kind in ("gan", "vae"):
        picture(f"metrics/train_{kind}_samples")
        for epoch in range(1, epochs + 1):
            picture(f"artifacts/train_{kind}/samples/epoch_{epoch:04d}")
        table(
            f"evaluate_{kind}/classes",
            ("class", "generated", "real", "n", "fd", "fd_floor", "confidence"),
            [(c, 1 / classes, 1 / classes, 20, 30 + c, 2 + c / classes, 0.8) for c in range(classes)],
        )
        for name in ("nearest", "reconstructions", "interpolations", "traversals"):
            picture(f"artifacts/evaluate_{kind}/{name}")
        table(f"evaluate_{kind}/interpolations", ("from", "to"), [(0, 1), (2, 3)])
        table(f"evaluate_{kind}/traversals", ("latent", "class", "low", "high"), [(5, 3, -2, 2), (0, 3, -2, 2)])
    codes = [(*rng.normal(size=2), place % classes) for place in range(100)]
    table("evaluate_vae/codes", ("x", "y", "class"), codes)
    picture("metrics/train_vae_reconstructions")

    params = read_params(PARAMS).flat() | {"gan.epochs": 8, "data.path": "elsewhere"}
    for key, seeds in (("beta", (42,)), ("lambda", (1, 2))):
        names = COLUMNS[model(key)]
        values = {name: tuple(tuple(v + seed / 100 for seed in seeds) for v in (0.5, 1.0, 2.0)) for name in names}
        sweep = Sweep(key, params, (0.5, 1.0, 2.0), (seeds,) * 3, values, key)
        metrics(f"sweeps/{key}", as_json(sweep))
        for name in PICTURES[model(key)]:
            for value in ("0.5", "1", "2"):
                picture(f"metrics/sweeps/{key}/{name}_{value}", rows=4)

    per_class = {str(c): round(1 - 0.01 * c, 6) for c in range(classes)}
    shape = {"classes": classes, "height": side, "width": side}
    metrics(
        "prepare",
        {"source": "bundled", "title": "some digits", "train": 360, "val": 40, "test": 100}
        | shape
        | {"mean": 0.1307, "std": 0.3081, "files": {"digits.csv.gz": "00112233445566778899aabbccddeeff"}},
    )
    metrics(
        "train_classifier",
        {"epochs": 2, "val_accuracy": 0.985, "test_accuracy": 0.978, "test_nll": 0.0712, "ece": 0.00931}
        | {"per_class_accuracy": per_class},
    )
    metrics(
        "train_gan",
        {"epochs": epochs, "generator_parameters": 183521, "discriminator_parameters": 96129, "loss_d": 0.912}
        | {"loss_g": 1.68, "loss_total": 2.592, "d_accuracy_real": 0.801, "d_accuracy_generated": 0.273}
        | {"d_accuracy_held_out": 0.719, "machine": "cpu of some kind, threads 2"},
    )
    metrics(
        "train_vae",
        {"best_epoch": 3, "parameters": 1128273, "val_loss": 100.2, "val_distortion": 75.1, "val_rate": 25.1}
        | {"active_units": 4},
    )
    for kind in ("gan", "vae"):
        metrics(f"evaluate_{kind}", evaluation(kind, per_class))
    (root / "models").mkdir()
    for name in ("classifier", "gan", "vae"):
        (root / "models" / f"{name}.safetensors").write_bytes(name.encode())
    shutil.copy(PARAMS, root)
    for name in ("requirements.txt", "src/genbalance/reporting/defaults.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    (root / "src/genbalance/reporting/pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
