"""The project's two questions, what β does and what λ does, each with its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbalance.reporting import grids
from genbalance.reporting.findings import Finding, finding
from genbalance.reporting.sweep import OF, Sweep
from genbalance.reporting.sweep_context import Context
from genbalance.reporting.text import SYMBOLS, number

SHOWN = 3  # values whose pictures stand side by side
ASKED = ("beta", "lambda")


@dataclass(frozen=True)
class Row:
    """Images of one value of the coefficient, PNG bytes, or those that reconstructions are of; ``here``: this run's."""

    label: str
    image: bytes
    alt: str
    here: bool = False


@dataclass(frozen=True)
class Effect:
    """A question; what the sweep at hand says to it, None without one; its pictures by what they show."""

    key: str
    symbol: str
    model: str
    context: Context | None
    finding: Finding | None
    pictures: Mapping[str, Sequence[Row]]


def effects(contexts: Sequence[Context], params: Mapping[str, Any]) -> list[Effect]:
    """Both questions. Of several sweeps of a coefficient that one answers whose settings are most like this run's, then
    that of the most values."""
    return [_effect(key, contexts, params) for key in ASKED]


def _effect(key: str, contexts: Sequence[Context], params: Mapping[str, Any]) -> Effect:
    own = [it for it in contexts if it.sweep.key == key and len(it.sweep.values) > 1]
    context = min(own, key=lambda it: (len(it.otherwise), -len(it.sweep.values)), default=None)
    if context is None:
        return Effect(key, SYMBOLS[key], OF[key], None, None, {})
    here = None if context.otherwise else float(params[key])
    values = _chosen(context.sweep, float(params[key]))
    pictures = _vae(context.sweep, values, here) if OF[key] == "vae" else _gan(context.sweep, values, here)
    return Effect(key, SYMBOLS[key], OF[key], context, finding(context.sweep), pictures if values else {})


def _chosen(sweep: Sweep, value: float) -> list[float]:
    """The values whose pictures are shown: the least, the largest, and between them this run's or the middle one."""
    there = [each for each in sweep.values if each in sweep.pictures]
    if len(there) <= SHOWN:
        return there
    between = there[1:-1]
    return [there[0], value if value in between else between[len(between) // 2], there[-1]]


def _vae(sweep: Sweep, values: Sequence[float], here: float | None) -> dict[str, list[Row]]:
    if not values:
        return {}
    rebuilt = {value: sweep.pictures[value]["reconstructions"] for value in values}
    originals = Row("original", grids.rows(rebuilt[values[0]], 0, 1), "Row of real images")
    return {
        "Samples: the same latents in each row": _rows(
            sweep, {value: grids.rows(sweep.pictures[value]["samples"], 0, 1) for value in values}, "samples", here
        ),
        "Reconstructions": [
            originals,
            *_rows(sweep, {v: grids.rows(png, 1, 1) for v, png in rebuilt.items()}, "reconstructions of them", here),
        ],
    }


def _gan(sweep: Sweep, values: Sequence[float], here: float | None) -> dict[str, list[Row]]:
    chosen = {value: grids.rows(sweep.pictures[value]["samples"], 0, 2) for value in values}
    return {"Samples: the same latents in each block": _rows(sweep, chosen, "samples", here)}


def _rows(sweep: Sweep, images: Mapping[float, bytes], what: str, here: float | None) -> list[Row]:
    labels = {value: f"{sweep.symbol} = {number(value)}" for value in images}
    return [
        Row(labels[value], png, f"{what[0].upper()}{what[1:]} at {labels[value]}", value == here)
        for value, png in images.items()
    ]
