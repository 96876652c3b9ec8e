"""The headline numbers as cards."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from genbalance.reporting.results import Results
from genbalance.reporting.scale import Card, Mark, Place, Row, Scale, linear, position
from genbalance.reporting.text import number, share, span

MODELS = ("gan", "vae")
Write = Callable[[float], str]
UNIT: Place = partial(linear, low=0, high=1)


def cards(results: Results, params: Mapping[str, Any]) -> list[Card]:
    """The headline cards; ``params`` are all parameters by dotted key."""
    return [
        _distance(
            results, "fd", "Fréchet distance", "FID’s formula on our classifier’s features; near the floor is best"
        ),
        _distance(results, "kid", "Kernel distance (KID)", "on the same features, unbiased; near the floor is best"),
        _score(results),
        _manifolds(results),
        _copies(results),
        _discriminator(results),
        _bound(results, params["vae.conditional"]),
        _reconstruction(results, params["vae.latents"]),
    ]


def _distance(results: Results, key: str, title: str, hint: str) -> Card:
    scales: dict[tuple[float, float], list[Row]] = {}
    for model in MODELS:
        low, high = (results.number(f"evaluate_{model}", f"{key}_{end}") for end in ("floor", "ceiling"))
        place = partial(position, floor=low, ceiling=high)
        row = Row(model.upper(), (_mark(results, f"evaluate_{model}", f"{key}_test", model, place),), model)
        scales.setdefault((low, high), []).append(row)  # normally one scale: both were measured alike
    ends = {ends: (f"floor {number(ends[0])}", f"ceiling {number(ends[1])}") for ends in scales}
    return Card(title, hint, tuple(Scale(tuple(rows), *ends[both]) for both, rows in scales.items()))


def _score(results: Results) -> Card:
    real = results.number("evaluate_gan", "classifier_score_real")
    place = partial(linear, low=1, high=results.classes)
    marks = {model: _mark(results, f"evaluate_{model}", "classifier_score", model, place) for model in MODELS}
    rows = tuple(Row(model.upper(), (mark,), model, place(real)) for model, mark in marks.items())
    return Card(
        "Classifier score",
        f"Inception Score’s formula on our classifier, 1 to {results.classes}; nearer the mark is better",
        (Scale(rows, "1", str(results.classes), f"real {number(real)}"),),
    )


def _manifolds(results: Results) -> Card:
    rows = tuple(_both(results, key, key, real=True) for key in ("precision", "recall", "density", "coverage"))
    return Card(
        "Fidelity and diversity",
        "precision, density: do samples lie where real images lie? recall, coverage: do samples reach all real images? "
        "nearer the mark is better",
        (Scale(rows, "0", "1 and above", "real training images"),),
        wide=True,
    )


def _copies(results: Results) -> Card:
    rows = (
        _both(results, "authenticity", "AuthPct", real=True),
        _both(results, "nearer_train", "nearer to training", real=True),
    )
    return Card(
        "Copies of training images",
        "AuthPct: share of samples that are not copies; copies are nearer to training than to test images",
        (Scale(rows, "0", "1", "validation images"),),
    )


def _discriminator(results: Results) -> Card:
    kinds = {"train": ("training", "real"), "test": ("test", "extra")}
    marks = {
        name: _mark(results, "evaluate_gan", f"d_auc_{name}", kind, UNIT, write=share)
        for name, (_, kind) in kinds.items()
    }
    return Card(
        "Discriminator AUC",
        "how often D at the last step ranks a real image above a generated one; ½: chance; training above test: "
        "memorised",
        (Scale(tuple(Row(kinds[n][0], (m,), kinds[n][1], 50.0) for n, m in marks.items()), "0", "1", "chance: ½"),),
    )


def _bound(results: Results, conditional: bool) -> Card:
    draws = number(results.number("evaluate_vae", "nll_draws"))
    labels = {"nelbo": "−ELBO", "nll": f"IWAE bound, k = {draws}", "distortion": "distortion", "rate": "rate"}
    terms = {name: results.number("evaluate_vae", name) for name in labels}
    # A density can exceed one, so a Gaussian likelihood's distortion can be negative: then no bar can be cut in two.
    whole = min(terms.values()) >= 0
    place = partial(linear, low=0, high=terms["nelbo"]) if whole else None
    rows = tuple(Row(label, (_mark(results, "evaluate_vae", name, "vae", place),), "vae")
                 for name, label in labels.items())  # fmt: skip
    hint = (
        f"bounds on −log {'p(x|y)' if conditional else 'p(x)'} of a test image: −ELBO, which is distortion + rate, and "
        "the tighter IWAE bound; lower is better"
    )
    return Card("VAE: −ELBO", hint, (Scale(rows, "0" if whole else "", "nats per image"),))


def _reconstruction(results: Results, latents: int) -> Card:
    active, inverted = results.number("evaluate_vae", "active_units"), results.number("evaluate_gan", "reconstructed")
    rows = (_both(results, "ssim", "SSIM"), _both(results, "classifier_agreement", "class preserved"))
    units = Row("active units", (Mark("vae", number(active), linear(active, 0, latents)),), "vae")
    return Card(
        "Reconstruction",
        f"of test images, by the VAE and, of {number(inverted)}, by GAN inversion; class preserved: share with the "
        "original’s predicted class",
        (Scale(rows, "nothing", "all"), Scale((units,), "0", f"{latents} latents")),
    )


def _mark(
    results: Results, stage: str, key: str, kind: str, place: Place | None, name: str = "", write: Write = number
) -> Mark:
    """A metric on its scale; one that shares its row has a ``name`` and no room for its interval."""
    value, ends = results.number(stage, key), results.interval(stage, key)
    return Mark(
        kind,
        write(value),
        place(value) if place else None,
        (place(ends[0]), place(ends[1])) if place and ends else None,
        span(*ends) if ends and not name else "",
        name,
    )


def _both(results: Results, key: str, label: str, real: bool = False) -> Row:
    """Both models on one row, between 0 and 1, beside what ``real`` images get."""
    marks = tuple(_mark(results, f"evaluate_{m}", key, m, UNIT, m.upper(), share) for m in MODELS)
    if not real:
        return Row(label, marks)
    value = results.number("evaluate_gan", f"{key}_real")
    return Row(label, marks, tick=UNIT(value), note=f"real {share(value)}")
