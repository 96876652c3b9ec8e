"""The headline numbers as cards: each is a question, answered by marks on scales."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family
from genbalance.reporting.results import Results
from genbalance.reporting.text import listed, number, share, span

Place = Callable[[float], float]
"""Where a number stands on a scale, in per cent of its length."""

DECADES = 4  # how far below the ceiling a scale reaches whose floor is zero or, as KID's may be, below


@dataclass(frozen=True)
class Mark:
    """A number on a scale: ``at`` in per cent of its length, None when there is no place for it.

    ``reach`` are the ends of its interval there, ``span`` is the interval as text, ``name`` sets the marks of a row
    apart.
    """

    kind: str
    text: str
    at: float | None
    reach: tuple[float, float] | None = None
    span: str = ""
    name: str = ""


@dataclass(frozen=True)
class Row:
    """One question's marks; ``tick`` in per cent and ``note`` say what real images get, where it is measured."""

    label: str
    marks: tuple[Mark, ...]
    kind: str = ""
    tick: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """Rows that share their two ends; ``tick`` says what the ticks between these are."""

    rows: tuple[Row, ...]
    low: str
    high: str
    tick: str = ""


@dataclass(frozen=True)
class Card:
    """One question, answered by marks on scales; a ``wide`` one is two cards across where there is room."""

    title: str
    hint: str
    scales: tuple[Scale, ...]
    wide: bool = False


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


Write = Callable[[float], str]
UNIT: Place = partial(linear, low=0, high=1)


def cards(results: Results, params: Mapping[str, Any]) -> list[Card]:
    """The headline cards of the run's families; ``params`` are all parameters by dotted key."""
    discriminators = results.having(DISCRIMINATOR)
    return [
        _distance(
            results, "fd", "Fréchet distance", "FID’s formula on our classifier’s features; near the floor is best"
        ),
        _distance(results, "kid", "Kernel distance (KID)", "on the same features, unbiased; near the floor is best"),
        *([_score(results)] if results.has_classes else []),
        _manifolds(results),
        _copies(results),
        *([_discriminator(results, discriminators)] if discriminators else []),
        *(
            _bound(results, family, params.get(f"{family.name}.conditional", False))
            for family in results.having(LIKELIHOOD)
        ),
        _reconstruction(results),
    ]


def _distance(results: Results, key: str, title: str, hint: str) -> Card:
    scales: dict[tuple[float, float], list[Row]] = {}
    for family in results.families:
        low, high = (results.number(f"evaluate_{family.name}", f"{key}_{end}") for end in ("floor", "ceiling"))
        mark = _mark(results, family, f"{key}_test", partial(position, floor=low, ceiling=high))
        scales.setdefault((low, high), []).append(Row(family.title, (mark,), family.name))
    ends = {ends: (f"floor {number(ends[0])}", f"ceiling {number(ends[1])}") for ends in scales}
    # normally one scale: all were measured alike
    return Card(title, hint, tuple(Scale(tuple(rows), *ends[both]) for both, rows in scales.items()))


def _score(results: Results) -> Card:
    real = results.number(f"evaluate_{results.families[0].name}", "classifier_score_real")
    place = partial(linear, low=1, high=results.classes)
    rows = tuple(
        Row(family.title, (_mark(results, family, "classifier_score", place),), family.name, place(real))
        for family in results.families
    )
    return Card(
        "Classifier score",
        f"Inception Score’s formula on our classifier, 1 to {results.classes}; nearer the mark is better",
        (Scale(rows, "1", str(results.classes), f"real {number(real)}"),),
    )


def _manifolds(results: Results) -> Card:
    rows = tuple(_all(results, key, key, real=True) for key in ("precision", "recall", "density", "coverage"))
    return Card(
        "Fidelity and diversity",
        "precision, density: do samples lie where real images lie? recall, coverage: do samples reach all real images? "
        "nearer the mark is better",
        (Scale(rows, "0", "1 and above", "real training images"),),
        wide=True,
    )


def _copies(results: Results) -> Card:
    rows = (
        _all(results, "authenticity", "AuthPct", real=True),
        _all(results, "nearer_train", "nearer to training", real=True),
        _all(results, "membership_auc_distance", "membership", real=True),
    )
    return Card(
        "Copies of training images",
        "AuthPct: share of samples that are not copies; copies are nearer to training than to test images; "
        "membership: AUC of an attack that tells the two apart by samples",
        (Scale(rows, "0", "1", "validation images"),),
    )


def _discriminator(results: Results, families: Sequence[Family]) -> Card:
    rows = [
        Row(
            label if len(families) == 1 else f"{family.title}: {label}",
            (_mark(results, family, f"d_auc_{name}", UNIT, write=share, kind=kind),),
            kind,
            50.0,
        )
        for family in families
        for name, label, kind in (("train", "training", "real"), ("test", "test", "extra"))
    ]
    return Card(
        "Discriminator AUC",
        "how often D at the last step ranks a real image above a generated one; ½: chance; training above test: "
        "memorised",
        (Scale(tuple(rows), "0", "1", "chance: ½"),),
    )


def _bound(results: Results, family: Family, conditional: bool) -> Card:
    stage = f"evaluate_{family.name}"
    draws = number(results.number(stage, "nll_draws"))
    labels = {"nelbo": "−ELBO", "nll": f"IWAE bound, k = {draws}", "distortion": "distortion", "rate": "rate"}
    terms = {name: results.number(stage, name) for name in labels}
    # A density can exceed one, so a Gaussian likelihood's distortion can be negative: then no bar can be cut in two.
    whole = min(terms.values()) >= 0
    place = partial(linear, low=0, high=terms["nelbo"]) if whole else None
    rows = tuple(Row(label, (_mark(results, family, name, place),), family.name) for name, label in labels.items())
    hint = (
        f"bounds on −log {'p(x|y)' if conditional else 'p(x)'} of a test image: −ELBO, which is distortion + rate, and "
        "the tighter IWAE bound; lower is better"
    )
    return Card(f"{family.title}: −ELBO", hint, (Scale(rows, "0" if whole else "", "nats per image"),))


def _reconstruction(results: Results) -> Card:
    encoders = results.having(ENCODER)
    by = [f"by the {family.title}" for family in encoders] + [
        f"of {number(results.number(f'evaluate_{family.name}', 'reconstructed'))}, by {family.title} inversion"
        for family in results.families
        if family not in encoders
    ]
    rows: tuple[Row, ...] = (_all(results, "ssim", "SSIM"),)
    kept = ""
    if results.has_classes:
        rows += (_all(results, "classifier_agreement", "class preserved"),)
        kept = "; class preserved: share with the original’s predicted class"
    units = []
    for family in encoders:
        active, latents = results.number(f"evaluate_{family.name}", "active_units"), results.latents(family)
        label = "active units" if len(encoders) == 1 else f"{family.title}: active units"
        mark = Mark(family.name, number(active), linear(active, 0, latents))
        units.append(Scale((Row(label, (mark,), family.name),), "0", f"{number(latents)} latents"))
    return Card(
        "Reconstruction",
        f"of test images, {listed(by).replace(' and of', ' and, of')}{kept}",
        (Scale(rows, "nothing", "all"), *units),
    )


def _mark(
    results: Results,
    family: Family,
    key: str,
    place: Place | None,
    named: bool = False,
    write: Write = number,
    kind: str = "",
) -> Mark:
    """A metric on its scale; one that shares its row is ``named`` and has no room for its interval."""
    stage = f"evaluate_{family.name}"
    value, ends = results.number(stage, key), results.interval(stage, key)
    return Mark(
        kind or family.name,
        write(value),
        place(value) if place else None,
        (place(ends[0]), place(ends[1])) if place and ends else None,
        span(*ends) if ends and not named else "",
        family.title if named else "",
    )


def _all(results: Results, key: str, label: str, real: bool = False) -> Row:
    """All families on one row, between 0 and 1, beside what ``real`` images get."""
    marks = tuple(_mark(results, family, key, UNIT, named=True, write=share) for family in results.families)
    if not real:
        return Row(label, marks)
    value = results.number(f"evaluate_{results.families[0].name}", f"{key}_real")
    return Row(label, marks, tick=UNIT(value), note=f"real {share(value)}")
