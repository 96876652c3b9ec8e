"""The few numbers and pictures that stand for a whole pipeline run; none tells of the data alone, such as a floor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbalance.reporting.measures import ARROWS, GROUPS
from genbalance.reporting.results import Results

SAMPLES = ("fd_infinity", "precision", "recall", "density", "coverage", "nn_accuracy", "authenticity")

HEADLINE = {
    "test_accuracy": ("train_classifier", "test_accuracy"),
    "gan_fd_test": ("evaluate_gan", "fd_test"),
    "gan_kid_test": ("evaluate_gan", "kid_test"),
    "gan_classifier_score": ("evaluate_gan", "classifier_score"),
    "gan_d_accuracy_generated": ("evaluate_gan", "d_accuracy_generated"),
    **{f"gan_{key}": ("evaluate_gan", key) for key in (*SAMPLES, "mse", "ssim")},
    "vae_fd_test": ("evaluate_vae", "fd_test"),
    "vae_kid_test": ("evaluate_vae", "kid_test"),
    "vae_classifier_score": ("evaluate_vae", "classifier_score"),
    **{f"vae_{key}": ("evaluate_vae", key) for key in SAMPLES},
    "vae_nll": ("evaluate_vae", "nll"),
    "vae_nelbo": ("evaluate_vae", "nelbo"),
    "vae_rate": ("evaluate_vae", "rate"),
    "vae_distortion": ("evaluate_vae", "distortion"),
    "vae_mse": ("evaluate_vae", "mse"),
    "vae_psnr": ("evaluate_vae", "psnr"),
    "vae_ssim": ("evaluate_vae", "ssim"),
    "vae_active_units": ("evaluate_vae", "active_units"),
}

PICTURES = {name: Path(f"metrics/train_{name}.png") for name in ("gan_samples", "vae_samples", "vae_reconstructions")}
SUMMARY = {
    "n": ("evaluate_gan", "n"),
    "accuracy": ("train_classifier", "test_accuracy"),
    "fd_floor": ("evaluate_gan", "fd_floor"),
    "fd_ceiling": ("evaluate_gan", "fd_ceiling"),
    "gan_fd": ("evaluate_gan", "fd_test"),
    "gan_recall": ("evaluate_gan", "recall"),
    "vae_fd": ("evaluate_vae", "fd_test"),
    "rate": ("evaluate_vae", "rate"),
    "distortion": ("evaluate_vae", "distortion"),
    "nll": ("evaluate_vae", "nll"),
}
SUMMARY_DIGITS = 4  # significant ones; with six columns that λ and β change, `dvc exp show` fits into 120 columns


def summary(results: Results) -> dict[str, float]:
    """What DVC's tables show of a run (metrics/summary.json), by short name."""
    values = {name: results.number(stage, key) for name, (stage, key) in SUMMARY.items()}
    return {n: v if isinstance(v, int) else float(f"{v:.{SUMMARY_DIGITS}g}") for n, v in values.items()}


def headline(results: Results) -> dict[str, float]:
    """What the parent run shows in the tracker's table, by name."""
    return {name: results.number(stage, key) for name, (stage, key) in HEADLINE.items()}


PRINTED = (
    *("fd_test", "kid_test", "classifier_score", "precision", "recall", "density", "coverage"),
    *("nn_accuracy", "authenticity", "ssim", "nelbo", "nll"),
)
"""The rows of the table in the terminal, by the names of the metrics."""

NEXT = """\
The page: reports/index.html
Next:     dvc exp run --temp -S beta=4   another β, in a copy of this folder
          make ui                        the runs in MLflow"""
"""What `dvc repro` and `make repro` end with, below the table."""


def headline_table(metrics_by_stage: Mapping[str, Mapping[str, Any]]) -> str:
    """A dozen numbers of GAN and VAE beside those of real digits as plain text, at most 80 columns wide.

    An arrow says where the best lies: ↓ low, ↑ high, →real near what real digits get, →½ there.

    Args:
        metrics_by_stage: metrics/<stage>.json by the stage's name: prepare, evaluate_gan and evaluate_vae.

    Raises:
        UserError: a metric is missing, or is not a number.
    """
    results = Results(metrics_by_stage, tables={}, pictures={}, films={})
    measures = {measure.key: measure for measures in GROUPS.values() for measure in measures}
    n, title = results.number("evaluate_gan", "n"), metrics_by_stage["prepare"].get("title", "")
    lines = [f"{title}: {n:,} samples against {n:,} test digits", _row("", "", "GAN", "VAE", "real digits")]
    for measure in (measures[key] for key in PRINTED):
        shown = {model: measure.key if model in measure.models else None for model in ("gan", "vae")}
        real = measure.real if isinstance(measure.real, str) else None
        cells = [(f"evaluate_{model}", key) for model, key in shown.items()] + [("evaluate_vae", real)]
        values = (f"{results.number(stage, key):z,.3f}".replace("-", "−") if key else "" for stage, key in cells)
        lines.append(_row(measure.label, ARROWS[measure.better], *values))
    return "\n".join(lines)


def _row(label: str, arrow: str, *values: str) -> str:
    cells = "".join(f"{value:>{width}}" for value, width in zip(values, (10, 10, 13), strict=True))
    return f"{label:<38} {arrow:<5}{cells}".rstrip()
