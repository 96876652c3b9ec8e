"""The card of a model as Markdown: what it is, its data, params and metrics, and what it is not for."""

from collections.abc import Mapping
from typing import Any

from genbalance.data.prepared import PARTS, Prepared, in_words
from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family

Row = tuple[str, str, str]  # a label, the metric's key, its key for real images

SAMPLES: tuple[Row, ...] = (
    ("Fréchet distance ↓", "fd_test", "fd_floor"),
    ("kernel distance (KID) ↓", "kid_test", "kid_floor"),
    ("classifier score (Inception Score on our classifier) ↑", "classifier_score", "classifier_score_real"),
    ("precision ↑", "precision", "precision_real"),
    ("recall ↑", "recall", "recall_real"),
    ("coverage ↑", "coverage", "coverage_real"),
    ("1-NN accuracy, best at ½", "nn_accuracy", "nn_accuracy_real"),
    ("AuthPct (share not copied)", "authenticity", "authenticity_real"),
    ("membership inference by samples, AUC, best at ½", "membership_auc_distance", "membership_auc_distance_real"),
    ("rarest class to the mean", "share_worst_to_mean", ""),
    ("modes covered, of 1,000 ↑", "modes_covered", "modes_covered_real"),
)
OF_PARTS: tuple[tuple[str, Row], ...] = (
    (DISCRIMINATOR, ("membership inference by D’s logit, AUC", "membership_auc_logit", "")),
    (LIKELIHOOD, ("membership inference by −ELBO, AUC", "membership_auc_elbo", "")),
    (LIKELIHOOD, ("−ELBO, nats per image ↓", "nelbo", "")),
    (ENCODER, ("rate, nats", "rate", "")),
    (LIKELIHOOD, ("distortion, nats", "distortion", "")),
    (LIKELIHOOD, ("bits per dimension ↓", "bits_per_dim", "")),
    (ENCODER, ("mutual information gap (MIG) ↑", "mig", "")),
    (ENCODER, ("separated attribute predictability (SAP) ↑", "sap", "")),
    (ENCODER, ("DCI: disentanglement ↑", "dci_disentanglement", "")),
    (ENCODER, ("DCI: completeness ↑", "dci_completeness", "")),
    (ENCODER, ("DCI: informativeness ↑", "dci_informativeness", "")),
    (ENCODER, ("FactorVAE score ↑", "factor_vae_score", "")),
)
OF_SOME_DATA = frozenset(
    {
        *("classifier_score", "share_worst_to_mean", "modes_covered", "bits_per_dim"),
        *("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factor_vae_score"),
        *("membership_auc_distance", "membership_auc_logit", "membership_auc_elbo"),
    }
)
"""Metrics that need classes, stacked images, a likelihood of 8-bit levels or known factors; and membership inference,
which runs of older code lack."""
REQUESTS = """`mlflow models serve -m models:/{name}@champion --env-manager local`, then POST to `/invocations` as JSON:
`{{"dataframe_records": [{{"digit": 7, "seed": 1, "count": 2}}]}}`.
`digit`: {allowed}, null or −1 for any; `seed`: 0 by default, the same draws the same images; `count`: 1 by default.
Each answer has `row` (of the request), `read` (the class that the classifier predicts), `confidence` (its
probability) and `png` (Base64)."""
WITHOUT_CLASSES = """`mlflow models serve -m models:/{name}@champion --env-manager local`, then POST to `/invocations`
as JSON: `{{"dataframe_records": [{{"seed": 1, "count": 2}}]}}`.
`seed`: 0 by default, the same draws the same images; `count`: 1 by default. Each answer has `row` (of the request) and
`png` (Base64)."""
NAMED = 20  # classes in the card, at most


def card(
    family: Family,
    name: str,
    dataset: Prepared,
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    code: str,
    md5: str,
    trained: Mapping[str, Any] | None = None,
) -> str:
    """The card of a model.

    Args:
        family: the model's.
        name: under which it is registered.
        dataset: what it was trained and measured on.
        params: of its training, by dotted name.
        metrics: of its evaluation.
        code: the short form of the commit.
        md5: of its weights.
        trained: the metrics of its training, which hold what it spent where it was private.
    """
    sizes = ", ".join(f"{len(getattr(dataset, part)):,} {part}" for part in PARTS)
    named = dataset.class_names[:NAMED] if dataset.has_classes else ()
    names = f" ({', '.join(named)}{', …' if len(named) < dataset.classes else ''})" if named else ""
    classes = f"{dataset.classes} classes{names} of " if dataset.has_classes else ""
    requests = REQUESTS if dataset.has_classes else WITHOUT_CLASSES
    allowed = f"0 … {dataset.classes - 1}" + (" or a class's name" if named else "")
    sections = {
        "What it is": family.description,
        "Data": f"{dataset.title} ({dataset.source}): {sizes}; {classes}{in_words(dataset.shape)}.",
        "Params": _params(params),
        "Metrics": _metrics(family, metrics),
        "Limits": _limits(metrics, dataset.has_classes, trained or {}),
        "Requests": requests.format(name=name, allowed=allowed),
        "Source": f"Commit {code}, weights of md5 {md5}.",
    }
    return f"# {name}\n\n" + "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()) + "\n"


def _params(values: Mapping[str, Any]) -> str:
    shown = {key: str(value).lower() for key, value in values.items() if not key.startswith("compute.")}
    return ", ".join(f"`{key}={value}`" for key, value in shown.items())


def _metrics(family: Family, metrics: Mapping[str, Any]) -> str:
    lines = [f"On n = {metrics['n']:,} test images.", "", "| | this model | real images |", "|---|---|---|"]
    for label, key, real in [*(row for part, row in OF_PARTS if part in family.parts), *SAMPLES]:
        if key not in metrics and key in OF_SOME_DATA:
            continue
        value = f"{metrics[key]:.4g}"
        if spread := metrics["ci95"].get(key):
            value += f" ({spread['low']:.4g} … {spread['high']:.4g})"
        lines.append(f"| {label} | {value} | {f'{metrics[real]:.4g}' if real else ''} |")
    return "\n".join([*lines, "", "In brackets: 95% bootstrap intervals."])


def _limits(metrics: Mapping[str, Any], has_classes: bool, trained: Mapping[str, Any]) -> str:
    if "epsilon" in trained:
        privacy = (
            f"- Privacy: all weights of this file, and so whatever they generate, are (ε = {trained['epsilon']:.4g}, "
            f"δ = {trained['delta']:.4g})-differentially private for each training image, one present or absent, as "
            "long as the seed of the training is secret. That covers neither the metrics and curves of the training "
            "nor the reference classifier beside it. Of samples,"
        )
    else:
        privacy = "- Privacy: samples may copy training images; nothing here proves that they do not."
    lines = [
        "- Distances are those of this project's classifier: no Inception-FID, not comparable with one.",
        f"{privacy} {metrics['authenticity']:.1%} are farther from the nearest training image than that is from the "
        f"others; of real images, {metrics['authenticity_real']:.1%}.",
    ]
    if has_classes:
        lines += [
            f"- Fairness: classes are not sampled equally. {_rarest(metrics)}The rarest is sampled "
            f"{metrics['share_worst_to_mean']:.2f} times as often as the mean one, and the worst has "
            f"{metrics['fd_worst_to_mean']:.2f} times the mean Fréchet distance within a class.",
            "- The class of a sample is the prediction of the reference classifier, which errs; samples that it "
            "assigns to another class are never returned.",
        ]
    return "\n".join(
        [*lines, "- Not for: decisions that matter, identity, documents, or anything but images like these."]
    )


def _rarest(metrics: Mapping[str, Any]) -> str:
    """The class with the least share, which runs of older code have without an interval."""
    name, share = min(metrics["class_histogram"].items(), key=lambda item: item[1])
    spread = metrics["ci95"].get("class_share_min")
    within = f" ({spread['low']:.1%} … {spread['high']:.1%})" if spread else ""
    return f"Least often, in {share:.1%}{within} of the samples, it draws class {name}. "
