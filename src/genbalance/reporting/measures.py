"""What the comparison shows: each metric's name, where it stands, where its best lies and what it is held against."""

from collections.abc import Callable
from dataclasses import dataclass

from genbalance.reporting.results import Results

LOWER, HIGHER, REAL = "lower is better", "higher is better", "best near real"
HALF, ZERO = "best at ½", "best at 0"
ARROWS = {"": "", LOWER: "↓", HIGHER: "↑", REAL: "→real", HALF: "→½", ZERO: "→0"}
"""The same in plain text, for tables in a terminal."""

Source = str | Callable[[Results, str], float]
"""A key of the model's metrics, or a function of the results and the model, ``gan`` or ``vae``."""


@dataclass(frozen=True)
class Measure:
    """``real`` and ``mean_image`` are what these two get; a ``share`` has three decimals; ``models`` have it."""

    label: str
    key: str
    better: str = ""
    real: Source | None = None
    mean_image: Source | None = None
    share: bool = False
    models: tuple[str, ...] = ("gan", "vae")


def _beside_real(label: str, key: str, better: str, share: bool = False) -> Measure:
    return Measure(label, key, better, f"{key}_real", share=share)


def _vae(label: str, key: str, better: str = "", real: str | None = None, share: bool = False) -> Measure:
    return Measure(label, key, better, real, share=share, models=("vae",))


def _discriminator(label: str, key: str) -> Measure:
    return Measure(label, key, share=True, models=("gan",))


def _share(end: Callable[[list[float]], float]) -> Source:
    return lambda results, model: end(results.tables[f"evaluate_{model}/classes"]["real"])


def _floor(end: Callable[[list[float]], float]) -> Source:
    """Over the classes that have real images enough to measure; over all images where there is no such class."""

    def floor(results: Results, model: str) -> float:
        table = results.tables[f"evaluate_{model}/classes"]
        of_class = [fd for fd, n in zip(table["fd_floor"], table["n"], strict=True) if n > 0]
        return end(of_class or [results.number(f"evaluate_{model}", "fd_floor")])

    return floor


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


GROUPS: dict[str, tuple[Measure, ...]] = {
    "Distances": (
        Measure("Fréchet distance", "fd_test", LOWER, "fd_floor", "fd_ceiling"),
        Measure("Fréchet distance, n → ∞", "fd_infinity", LOWER, "fd_infinity_floor"),
        Measure("kernel distance (KID)", "kid_test", LOWER, "kid_floor", "kid_ceiling"),
    ),
    "Fidelity and diversity": (
        _beside_real("classifier score", "classifier_score", HIGHER),
        _beside_real("precision", "precision", HIGHER, share=True),
        _beside_real("recall", "recall", HIGHER, share=True),
        _beside_real("density", "density", HIGHER, share=True),
        _beside_real("coverage", "coverage", HIGHER, share=True),
        _beside_real("1-NN accuracy, real against generated", "nn_accuracy", HALF, share=True),
        _beside_real("Vendi score", "vendi", REAL),
        _beside_real("mean distance of two samples", "pairwise_distance", REAL),
    ),
    "Classes": (
        Measure("share of the rarest class", "class_share_min", REAL, _share(min), share=True),
        Measure("share of the commonest class", "class_share_max", REAL, _share(max), share=True),
        _beside_real("total variation from the real classes", "class_distance", LOWER, share=True),
        Measure("worst class's share to the mean", "share_worst_to_mean", HIGHER, share=True),
        Measure("Fréchet distance within a class, mean", "fd_class_mean", LOWER, _floor(_mean)),
        Measure("Fréchet distance within a class, worst", "fd_class_worst", LOWER, _floor(max)),
        Measure("worst of these to their mean", "fd_worst_to_mean", LOWER),
    ),
    "Copies of training digits": (
        _beside_real("AuthPct (share not copied)", "authenticity", REAL, share=True),
        _beside_real("nearer to a training than to a test image", "nearer_train", HALF, share=True),
        _beside_real("copying z-score", "copying_z", ZERO),
        _discriminator("D’s accuracy on training images", "d_accuracy_train"),
        _discriminator("D’s accuracy on test images", "d_accuracy_test"),
        _discriminator("D’s accuracy on generated images", "d_accuracy_generated"),
        _discriminator("discriminator AUC, training images", "d_auc_train"),
        _discriminator("discriminator AUC, test images", "d_auc_test"),
    ),
    "Reconstruction and likelihood": (
        Measure("mean squared error", "mse", LOWER),
        Measure("PSNR [dB]", "psnr", HIGHER),
        Measure("SSIM", "ssim", HIGHER),
        Measure("class preserved", "classifier_agreement", HIGHER, share=True),
        _vae("Fréchet distance of the reconstructions", "fd_reconstructions", LOWER),
        _vae("−ELBO [nats]", "nelbo", LOWER),
        _vae("rate [nats]", "rate"),
        _vae("distortion [nats]", "distortion", LOWER),
        _vae("IWAE bound [nats]", "nll", LOWER),
        _vae("active units", "active_units"),
        _vae("linear probe accuracy", "probe_accuracy", HIGHER, share=True),
        _vae("aggregate posterior against prior (MMD)", "prior_discrepancy", LOWER, "prior_discrepancy_floor"),
    ),
}
