"""Headline numbers as positions on a scale."""

import math
from dataclasses import dataclass

from genbalance.reporting.results import Results
from genbalance.reporting.text import number, percent

DECADES = 4  # how far below the ceiling a scale reaches whose floor is zero or, as KID's may be, below


@dataclass(frozen=True)
class Row:
    """A mark on a scale: ``at`` in per cent of its length, None when there is no place for it."""

    label: str
    kind: str
    text: str
    at: float | None


@dataclass(frozen=True)
class Scale:
    """Rows that share their two ends, and a reference tick between them (per cent, text) where there is one."""

    rows: tuple[Row, ...]
    low: str
    high: str
    tick: tuple[float, str] | None = None


@dataclass(frozen=True)
class Card:
    """One question, answered by marks on scales."""

    title: str
    hint: str
    scales: tuple[Scale, ...]


def position(value: float, floor: float, ceiling: float) -> float:
    """Where ``value`` stands between ``floor`` (0) and ``ceiling`` (100), in per cent of a logarithmic scale, clamped.

    A floor that is no positive number has no logarithm: the scale then begins four decades below the ceiling.
    """
    start = floor if floor > 0 else ceiling * 10**-DECADES
    if not 0 < start < ceiling:  # real images measure no better than the mean image: nothing lies between
        return 0.0 if value <= floor else 100.0
    return 100 * min(1.0, math.log(max(value, start) / start) / math.log(ceiling / start))


def linear(value: float, low: float, high: float) -> float:
    """Where ``value`` stands between ``low`` (0) and ``high`` (100), in per cent, clamped."""
    return 100 * min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


def cards(results: Results, latents: int) -> list[Card]:
    """The headline cards; ``latents`` is the VAE's number of latents."""
    return [
        _distance(results, "fd", "Fréchet distance", "of the samples to the test images: nearer the floor is better"),
        _distance(results, "kid", "Kernel distance", "the same question, free of bias: nearer the floor is better"),
        _score(results),
        _discriminator(results),
        _bound(results),
        _reconstruction(results, latents),
    ]


def _distance(results: Results, key: str, title: str, hint: str) -> Card:
    scales: dict[tuple[float, float], list[Row]] = {}
    for model in ("gan", "vae"):
        value, *ends = (results.number(f"evaluate_{model}", f"{key}_{end}") for end in ("test", "floor", "ceiling"))
        row = Row(model.upper(), model, number(value), position(value, *ends))
        scales.setdefault((ends[0], ends[1]), []).append(row)  # normally one scale: both were measured alike
    ends_text = {ends: (f"floor {number(ends[0])}", f"ceiling {number(ends[1])}") for ends in scales}
    return Card(title, hint, tuple(Scale(tuple(rows), *ends_text[ends]) for ends, rows in scales.items()))


def _score(results: Results) -> Card:
    real = results.number("evaluate_gan", "classifier_score_real")
    values = {model: results.number(f"evaluate_{model}", "classifier_score") for model in ("gan", "vae")}
    rows = tuple(Row(m.upper(), m, number(value), linear(value, 1, results.classes)) for m, value in values.items())
    tick = (linear(real, 1, results.classes), f"real {number(real)}")
    return Card(
        "Classifier score",
        f"1: always the same; {results.classes}: clear images of all classes; nearer the mark is better",
        (Scale(rows, "1", str(results.classes), tick),),
    )


def _discriminator(results: Results) -> Card:
    of = {name: results.number("train_gan", f"d_accuracy_{name}") for name in ("real", "held_out", "generated")}
    kinds = {"real": ("real", "real"), "held_out": ("held out", "extra"), "generated": ("generated", "gan")}
    rows = tuple(Row(kinds[name][0], kinds[name][1], percent(value), linear(value, 0, 1)) for name, value in of.items())
    return Card(
        "What D still tells apart",
        "share that the discriminator gets right: at ½ it can only guess",
        (Scale(rows, "0%", "100%", (50.0, "a coin: ½")),),
    )


def _bound(results: Results) -> Card:
    terms = {name: results.number("evaluate_vae", name) for name in ("nelbo", "distortion", "rate")}
    labels = {"nelbo": "−ELBO", "distortion": "distortion", "rate": "rate"}
    # A density can exceed one, so a Gaussian likelihood's distortion can be negative: then no bar can be cut in two.
    whole = min(terms.values()) >= 0
    rows = tuple(
        Row(labels[name], "vae", number(value), linear(value, 0, terms["nelbo"]) if whole else None)
        for name, value in terms.items()
    )
    hint = "bound on −log p(x) of a test image: what is lost, plus what the latents carry; lower is better"
    return Card("VAE: −ELBO", hint, (Scale(rows, "0" if whole else "", "nats per image"),))


def _reconstruction(results: Results, latents: int) -> Card:
    ssim, agreement, active = (
        results.number("evaluate_vae", key) for key in ("ssim", "classifier_agreement", "active_units")
    )
    rows = (
        Row("SSIM", "vae", number(ssim), linear(ssim, 0, 1)),
        Row("same class", "vae", percent(agreement), linear(agreement, 0, 1)),
    )
    units = Row("active units", "vae", number(active), linear(active, 0, latents))
    return Card(
        "VAE: reconstruction",
        "test images through encoder and decoder: how alike, and read as the same class",
        (Scale(rows, "nothing", "all"), Scale((units,), "0", f"{latents} latents")),
    )
