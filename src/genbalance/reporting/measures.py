"""The families' metrics side by side: each one's name, where its best lies, and what real images and the mean image
get."""

from collections.abc import Callable
from dataclasses import dataclass

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, OF_CLASSES, Family, known
from genbalance.reporting.results import Results
from genbalance.reporting.text import number, share, span

LOWER, HIGHER, REAL = "lower is better", "higher is better", "best near real"
HALF, ZERO = "best at ½", "best at 0"
ARROWS = {"": "", LOWER: "↓", HIGHER: "↑", REAL: "→real", HALF: "→½", ZERO: "→0"}
"""The same in plain text, for tables in a terminal."""
NONE = "–"

Source = str | Callable[[Results, str], float]
"""A key of metrics/evaluate_<family>.json, or a function of the results and the family's name."""


@dataclass(frozen=True)
class Measure:
    """``real`` and ``mean_image`` are what these two get; a ``share`` has three decimals; families without ``part``
    lack it. An ``optional`` one is measured on some data or of some models alone: where no family has its key it is
    left out, and of those with its ``part`` some may lack it. ``stage`` is the one that measures it, without the
    family's name."""

    label: str
    key: str
    better: str = ""
    real: Source | None = None
    mean_image: Source | None = None
    share: bool = False
    part: str = ""
    optional: bool = False
    stage: str = "evaluate"

    def of(self, family: Family) -> bool:
        """Whether the family has it."""
        return not self.part or self.part in family.parts

    @property
    def of_classes(self) -> bool:
        """Whether it is measured by class: data without classes lack it."""
        return self.key in OF_CLASSES


def _beside_real(label: str, key: str, better: str, share: bool = False, optional: bool = False) -> Measure:
    return Measure(label, key, better, f"{key}_real", share=share, optional=optional)


def _encoder(label: str, key: str, better: str = "", real: str | None = None, share: bool = False) -> Measure:
    return Measure(label, key, better, real, share=share, part=ENCODER)


def _of_factors(label: str, key: str) -> Measure:
    return Measure(label, key, HIGHER, share=True, part=ENCODER, optional=True)


def _likelihood(label: str, key: str, optional: bool = False) -> Measure:
    return Measure(label, key, LOWER, part=LIKELIHOOD, optional=optional)


def _kl_term(label: str, key: str) -> Measure:
    return Measure(label, key, part=LIKELIHOOD, optional=True)


def _of_training(label: str, key: str, better: str = "") -> Measure:
    return Measure(label, key, better, optional=True, stage="train")


def _discriminator(label: str, key: str) -> Measure:
    return Measure(label, key, share=True, part=DISCRIMINATOR)


def _attack(by: str, name: str, part: str = "") -> tuple[Measure, Measure]:
    """A membership inference attack; of that on samples, which all have, validation images in their place are known."""
    auc, tpr = f"membership_auc_{name}", f"membership_tpr_{name}"
    of_auc, of_tpr = (None, None) if part else (f"{auc}_real", f"{tpr}_real")
    return (
        Measure(f"membership inference by {by}: AUC", auc, HALF, of_auc, share=True, part=part),
        Measure(f"by {by}: true positives at 1% false ones", tpr, LOWER, of_tpr, share=True, part=part),
    )


def _share(end: Callable[[list[float]], float]) -> Source:
    return lambda results, name: end(results.tables[f"evaluate_{name}/classes"]["real"])


def _floor(end: Callable[[list[float]], float]) -> Source:
    """Over the classes that have real images enough to measure; over all images where there is no such class."""

    def floor(results: Results, name: str) -> float:
        table = results.tables[f"evaluate_{name}/classes"]
        of_class = [fd for fd, n in zip(table["fd_floor"], table["n"], strict=True) if n > 0]
        return end(of_class or [results.number(f"evaluate_{name}", "fd_floor")])

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
        _beside_real("modes covered, of 1,000", "modes_covered", HIGHER, optional=True),
        _beside_real("KL of the modes to uniform ones [nats]", "modes_kl", LOWER, optional=True),
        Measure("share of the rarest class", "class_share_min", REAL, _share(min), share=True),
        Measure("share of the commonest class", "class_share_max", REAL, _share(max), share=True),
        _beside_real("total variation from the real classes", "class_distance", LOWER, share=True),
        Measure("worst class's share to the mean", "share_worst_to_mean", HIGHER, share=True),
        Measure("Fréchet distance within a class, mean", "fd_class_mean", LOWER, _floor(_mean)),
        Measure("Fréchet distance within a class, worst", "fd_class_worst", LOWER, _floor(max)),
        Measure("worst of these to their mean", "fd_worst_to_mean", LOWER),
    ),
    "Copies of training images": (
        _beside_real("AuthPct (share not copied)", "authenticity", REAL, share=True),
        _beside_real("nearer to a training than to a test image", "nearer_train", HALF, share=True),
        _beside_real("copying z-score", "copying_z", ZERO),
        *_attack("distance to samples", "distance"),
        *_attack("D’s logit", "logit", DISCRIMINATOR),
        *_attack("−ELBO", "elbo", LIKELIHOOD),
        _discriminator("D’s accuracy on training images", "d_accuracy_train"),
        _discriminator("D’s accuracy on test images", "d_accuracy_test"),
        _discriminator("D’s accuracy on generated images", "d_accuracy_generated"),
        _discriminator("discriminator AUC, training images", "d_auc_train"),
        _discriminator("discriminator AUC, test images", "d_auc_test"),
    ),
    "Differential privacy of the training": (
        _of_training("ε of a training image", "epsilon", LOWER),
        _of_training("δ", "delta"),
        _of_training("noise multiplier σ", "noise_multiplier"),
        _of_training("sampling rate", "sampling_rate"),
        _of_training("private steps", "private_steps"),
    ),
    "Federated training": (
        _of_training("clients", "clients"),
        _of_training("images of the smallest client", "fewest_images"),
        _of_training("images of the largest client", "most_images"),
        _of_training("rounds of averaging", "rounds"),
        _of_training("bytes sent", "bytes_sent", LOWER),
    ),
    "Reconstruction and likelihood": (
        Measure("mean squared error", "mse", LOWER),
        Measure("PSNR [dB]", "psnr", HIGHER),
        Measure("SSIM", "ssim", HIGHER),
        Measure("class preserved", "classifier_agreement", HIGHER, share=True),
        _encoder("Fréchet distance of the reconstructions", "fd_reconstructions", LOWER),
        _likelihood("−ELBO [nats]", "nelbo"),
        _encoder("rate [nats]", "rate"),
        _kl_term("index-code mutual information [nats]", "index_code_mi"),
        _kl_term("total correlation [nats]", "total_correlation"),
        _kl_term("dimension-wise KL [nats]", "dimension_wise_kl"),
        _likelihood("distortion [nats]", "distortion"),
        _likelihood("IWAE bound [nats]", "nll"),
        _likelihood("IWAE bound [bits per dimension]", "bits_per_dim", optional=True),
        _encoder("active units", "active_units"),
        _encoder("linear probe accuracy", "probe_accuracy", HIGHER, share=True),
        _encoder("aggregate posterior against prior (MMD)", "prior_discrepancy", LOWER, "prior_discrepancy_floor"),
    ),
    "Disentanglement": (
        _of_factors("mutual information gap (MIG)", "mig"),
        _of_factors("separated attribute predictability (SAP)", "sap"),
        _of_factors("DCI: disentanglement", "dci_disentanglement"),
        _of_factors("DCI: completeness", "dci_completeness"),
        _of_factors("DCI: informativeness", "dci_informativeness"),
        _of_factors("FactorVAE score", "factor_vae_score"),
    ),
}


@dataclass(frozen=True)
class Cell:
    """A number, and its 95% interval where it has one."""

    text: str
    span: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the comparison: a cell for each family, and what real images and the mean image get."""

    label: str
    better: str
    cells: tuple[Cell, ...]
    real: str
    mean_image: str


def labels() -> dict[str, tuple[str, str]]:
    """Each metric of the known families by its name, such as ``evaluate_vae.fd_test``, and the validation loss of those
    with a likelihood: what it is called, and which direction is better."""
    measured = {
        f"{measure.stage}_{name}.{measure.key}": (f"{family.title}: {measure.label}", measure.better)
        for name, family in known().items()
        for measures in GROUPS.values()
        for measure in measures
        if measure.of(family)
    }
    return measured | {
        f"train_{name}.val_loss": (f"{family.title}: validation loss [nats]", LOWER)
        for name, family in known().items()
        if LIKELIHOOD in family.parts
    }


def side_by_side(results: Results) -> dict[str, list[Line]]:
    """The run's families side by side, by groups of metrics that at least one of them has, with the floor (real images)
    and the ceiling (the mean image) if any; without classes, those that need none."""
    groups = {
        title: [_line(results, measure) for measure in measures if _is_measured(results, measure)]
        for title, measures in GROUPS.items()
    }
    return {title: lines for title, lines in groups.items() if lines}


def _is_measured(results: Results, measure: Measure) -> bool:
    if measure.of_classes and not results.has_classes:
        return False
    having = [family for family in results.families if measure.of(family)]
    if measure.optional:
        return any(measure.key in results.metrics[f"{measure.stage}_{family.name}"] for family in having)
    return bool(having)


def _line(results: Results, measure: Measure) -> Line:
    return Line(
        measure.label,
        measure.better,
        tuple(_cell(results, measure, family) for family in results.families),
        _shared(results, measure, measure.real),
        _shared(results, measure, measure.mean_image),
    )


def _cell(results: Results, measure: Measure, family: Family) -> Cell:
    stage = f"{measure.stage}_{family.name}"
    lacks = measure.optional and measure.part and measure.key not in results.metrics[stage]
    if lacks or not measure.of(family):
        return Cell(NONE)
    ends = results.interval(stage, measure.key) if measure.stage == "evaluate" else None
    return Cell(_text(measure, results.number(stage, measure.key)), span(*ends) if ends else "")


def _shared(results: Results, measure: Measure, source: Source | None) -> str:
    """Once for all families, unless they were measured unlike."""
    if source is None:
        return NONE
    values = (
        source(results, family.name) if callable(source) else results.number(f"evaluate_{family.name}", source)
        for family in results.families
        if measure.of(family)
    )
    return " / ".join(dict.fromkeys(_text(measure, value) for value in values))


def _text(measure: Measure, value: float) -> str:
    return share(value) if measure.share else number(value)
