"""The card of a model: what it is, what it learned from, how good it is and what it is not for, as Markdown."""

from collections.abc import Mapping
from typing import Any

from genbalance.data.prepared import PARTS, Prepared

Row = tuple[str, str, str]  # a label, the metric's key, the key of what real digits get

KINDS = {
    "gan": "The generator of a GAN, balanced by λ: L = L_D + λ·L_G; λ acts as lr_G / lr_D.",
    "vae": "The decoder of a VAE, balanced by β: L = L_recon + β·L_KL. Its samples are means of p(x|z), hence smooth.",
}
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
OWN: dict[str, tuple[Row, ...]] = {
    "gan": (),
    "vae": (
        ("−ELBO, nats per image ↓", "nelbo", ""),
        ("rate, nats", "rate", ""),
        ("distortion, nats", "distortion", ""),
    ),
}
ASKING = """`mlflow models serve -m models:/{name}@champion --env-manager local`, then POST to `/invocations` as JSON:
`{{"dataframe_records": [{{"digit": 7, "seed": 1, "count": 2}}]}}`.
`digit`: 0 … {last}, null or −1 for any; `seed`: 0 by default, the same draws the same digits; `count`: 1 by default.
Each answer has `row` (of the request), `read` (the class that the classifier predicts), `confidence` (its
probability) and `png` (Base64)."""


def card(
    kind: str, name: str, digits: Prepared, params: Mapping[str, Any], metrics: Mapping[str, Any], code: str, md5: str
) -> str:
    """The card of a model.

    Args:
        kind: gan or vae.
        name: under which it is registered.
        digits: what it was trained and measured on.
        params: of its training, by dotted name.
        metrics: of its evaluation.
        code: the commit, as people write it.
        md5: of its weights.
    """
    sizes = ", ".join(f"{len(getattr(digits, part)):,} {part}" for part in PARTS)
    pixels = f"{digits.height} × {digits.width} grey pixels"
    sections = {
        "What it is": KINDS[kind],
        "Data": f"{digits.title} ({digits.source}): {sizes}; {digits.classes} classes of {pixels}.",
        "Params": _params(params),
        "Metrics": _metrics(kind, metrics),
        "Limits": _limits(metrics),
        "Requests": ASKING.format(name=name, last=digits.classes - 1),
        "Source": f"Commit {code}, weights of md5 {md5}.",
    }
    return f"# {name}\n\n" + "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()) + "\n"


def _params(values: Mapping[str, Any]) -> str:
    told = {key: str(value).lower() for key, value in values.items() if not key.startswith("compute.")}
    return ", ".join(f"`{key}={value}`" for key, value in told.items())


def _metrics(kind: str, metrics: Mapping[str, Any]) -> str:
    lines = [f"On n = {metrics['n']:,} test digits.", "", "| | this model | real digits |", "|---|---|---|"]
    for label, key, real in OWN[kind] + SAMPLES:
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
