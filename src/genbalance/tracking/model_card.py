"""The card of a model as Markdown: what it is, its data, params and metrics, and what it is not for."""

from collections.abc import Mapping
from typing import Any

from genbalance.data.prepared import PARTS, Prepared
from genbalance.families.registry import ENCODER, LIKELIHOOD, Family

Row = tuple[str, str, str]  # a label, the metric's key, its key for real digits

SAMPLES: tuple[Row, ...] = (
    ("Fréchet distance ↓", "fd_test", "fd_floor"),
    ("kernel distance (KID) ↓", "kid_test", "kid_floor"),
    ("classifier score (Inception Score on our classifier) ↑", "classifier_score", "classifier_score_real"),
    ("precision ↑", "precision", "precision_real"),
    ("recall ↑", "recall", "recall_real"),
    ("coverage ↑", "coverage", "coverage_real"),
    ("1-NN accuracy, best at ½", "nn_accuracy", "nn_accuracy_real"),
    ("AuthPct (share not copied)", "authenticity", "authenticity_real"),
    ("rarest class to the mean", "share_worst_to_mean", ""),
)
OF_PARTS: tuple[tuple[str, Row], ...] = (
    (LIKELIHOOD, ("−ELBO, nats per image ↓", "nelbo", "")),
    (ENCODER, ("rate, nats", "rate", "")),
    (LIKELIHOOD, ("distortion, nats", "distortion", "")),
)
REQUESTS = """`mlflow models serve -m models:/{name}@champion --env-manager local`, then POST to `/invocations` as JSON:
`{{"dataframe_records": [{{"digit": 7, "seed": 1, "count": 2}}]}}`.
`digit`: 0 … {last}, null or −1 for any; `seed`: 0 by default, the same draws the same digits; `count`: 1 by default.
Each answer has `row` (of the request), `read` (the class that the classifier predicts), `confidence` (its
probability) and `png` (Base64)."""


def card(
    family: Family,
    name: str,
    digits: Prepared,
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    code: str,
    md5: str,
) -> str:
    """The card of a model.

    Args:
        family: the model's.
        name: under which it is registered.
        digits: what it was trained and measured on.
        params: of its training, by dotted name.
        metrics: of its evaluation.
        code: the short form of the commit.
        md5: of its weights.
    """
    sizes = ", ".join(f"{len(getattr(digits, part)):,} {part}" for part in PARTS)
    pixels = f"{digits.height} × {digits.width} grey pixels"
    sections = {
        "What it is": family.description,
        "Data": f"{digits.title} ({digits.source}): {sizes}; {digits.classes} classes of {pixels}.",
        "Params": _params(params),
        "Metrics": _metrics(family, metrics),
        "Limits": _limits(metrics),
        "Requests": REQUESTS.format(name=name, last=digits.classes - 1),
        "Source": f"Commit {code}, weights of md5 {md5}.",
    }
    return f"# {name}\n\n" + "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()) + "\n"


def _params(values: Mapping[str, Any]) -> str:
    shown = {key: str(value).lower() for key, value in values.items() if not key.startswith("compute.")}
    return ", ".join(f"`{key}={value}`" for key, value in shown.items())


def _metrics(family: Family, metrics: Mapping[str, Any]) -> str:
    lines = [f"On n = {metrics['n']:,} test digits.", "", "| | this model | real digits |", "|---|---|---|"]
    for label, key, real in [*(row for part, row in OF_PARTS if part in family.parts), *SAMPLES]:
        value = f"{metrics[key]:.4g}"
        if spread := metrics["ci95"].get(key):
            value += f" ({spread['low']:.4g} … {spread['high']:.4g})"
        lines.append(f"| {label} | {value} | {f'{metrics[real]:.4g}' if real else ''} |")
    return "\n".join([*lines, "", "In brackets: 95% bootstrap intervals."])


def _limits(metrics: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            "- Distances are those of this project's classifier: no Inception-FID, not comparable with one.",
            "- Privacy: samples may copy training digits; nothing here proves that they do not. "
            f"{metrics['authenticity']:.1%} are farther from the nearest training digit than that is from the others; "
            f"of real digits, {metrics['authenticity_real']:.1%}.",
            "- Fairness: classes are not sampled equally. The rarest is sampled "
            f"{metrics['share_worst_to_mean']:.2f} times as often as the mean one, and the worst has "
            f"{metrics['fd_worst_to_mean']:.2f} times the mean Fréchet distance within a class.",
            "- The class of a sample is the prediction of the reference classifier, which errs; samples that it "
            "assigns to another class are never returned.",
            "- Not for: readers of digits that matter, identity, documents, or anything but digits like these.",
        ]
    )
