"""The sweeps at hand beside this run, and their answers to the project's questions: what each coefficient does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from genbalance.families.registry import LIKELIHOOD, Family, of_param
from genbalance.params import INERT, read_yaml
from genbalance.reporting import grids
from genbalance.reporting.findings import Finding, finding
from genbalance.reporting.results import Results
from genbalance.reporting.sweep import Here, Sweep, figure, glance, marked
from genbalance.reporting.text import SYMBOLS, number, parameter
from genbalance.reporting.theme import Plot
from genbalance.runtime.errors import UserError

SIDES = ("evaluate.kid_", "evaluate.resamples", "evaluate.inversion_", "evaluate.importance_draws")  # not drawn
LAST_DIGITS = ("compute.device", "compute.threads", "compute.bits")  # all that these change of a number
NONE = "–"


@cache
def released() -> Mapping[str, Any]:
    """The released value of each parameter, by dotted key."""
    values: Mapping[str, Any] = read_yaml(Path(__file__).parent / "defaults.yaml")
    return values


@dataclass(frozen=True)
class Context:
    """A family's figures of a sweep beside this run: all of its curves, and the main one for a ``glance``; its values
    and seeds, and each parameter that was not as it is in this run, by its key with the value that it had."""

    sweep: Sweep
    family: Family
    plot: Plot
    glance: Plot
    values: str
    seeds: str
    otherwise: Mapping[str, str]


def in_context(results: Results, params: Mapping[str, Any]) -> list[Context]:
    """Every sweep at hand, by the families of this run that it measured. This run is marked on those whose params were
    its own but for what they vary, and the seed.

    Raises:
        UserError: a sweep varies what is no number among ``params``, all parameters by dotted key.
    """
    return [
        _context(sweep, family, results, params)
        for sweep in results.sweeps
        for family in sweep.families
        if family in results.families
    ]


def _context(sweep: Sweep, family: Family, results: Results, params: Mapping[str, Any]) -> Context:
    value = params.get(sweep.key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"metrics/sweeps/{sweep.name}.json: parameter: found {sweep.key!r}, which is "
            f"{'no number' if sweep.key in params else 'none'} in params.yaml; allowed: a number of params.yaml"
        )
    otherwise = {
        key: parameter(_value(sweep.shared, key))
        for key in params
        if _matters(key, sweep, family, params) and _value(sweep.shared, key) != _value(params, key)
    }
    seeds = sorted({seed for group in sweep.seeds for seed in group})
    # a logarithmic axis has no place for zero
    off = LIKELIHOOD not in family.parts and value <= 0 < sweep.values[0]
    here = None if off else _here(sweep, family, results, value)
    return Context(
        sweep,
        family,
        figure(sweep, family, None if otherwise else here),
        glance(sweep, family, here, alike=not otherwise),
        ", ".join(number(each) for each in sweep.values),
        ", ".join(map(str, seeds)),
        otherwise,
    )


def _matters(key: str, sweep: Sweep, family: Family, params: Mapping[str, Any]) -> bool:
    if key == "data.path":
        return params["data.source"] in ("idx", "folder", "array")
    foreign = of_param(key) and family not in of_param(key)
    return not foreign and key not in (sweep.key, "seed", *LAST_DIGITS) and not key.startswith((*SIDES, *INERT))


def _value(values: Mapping[str, Any], key: str) -> Any:
    """A sweep of before a parameter was there had what is its default now."""
    value = values.get(key, released().get(key, NONE))
    return Path(value).name if key == "data.path" else value


def _here(sweep: Sweep, family: Family, results: Results, value: float) -> Here:
    return {sweep.key: value} | {name: results.number(*name.split(".")) for name in marked(family)}


SHOWN = 3  # values whose pictures stand side by side


@dataclass(frozen=True)
class Row:
    """Images of one value of the coefficient, PNG bytes, or those that reconstructions are of; ``here``: this run's."""

    label: str
    image: bytes
    alt: str
    here: bool = False


@dataclass(frozen=True)
class Effect:
    """What a coefficient does in a family: what the sweep at hand says of it, None without one; its pictures by what
    they show. It is ``alone`` where the sweeps at hand measured its coefficient in one family."""

    key: str
    symbol: str
    family: Family
    alone: bool
    context: Context | None
    finding: Finding | None
    pictures: Mapping[str, Sequence[Row]]


def coefficients(families: Sequence[Family]) -> list[str]:
    """The coefficients of these families, in the order in which the page asks for their effects."""
    return sorted({key for family in families for key in family.coefficients})


def effects(families: Sequence[Family], contexts: Sequence[Context], params: Mapping[str, Any]) -> Iterator[Effect]:
    """Each coefficient in each family in which a sweep measured it; in its first family where none did. Of several
    sweeps that one answers whose settings are most like this run's, then that of the most values."""
    for key in coefficients(families):
        concerned = [family for family in families if key in family.coefficients]
        swept = {
            family: own
            for family in concerned
            if (own := [c for c in contexts if (c.sweep.key, c.family) == (key, family) and len(c.sweep.values) > 1])
        }
        for family, own in swept.items():
            context = min(own, key=lambda it: (len(it.otherwise), -len(it.sweep.values)))
            yield _effect(key, family, context, len(swept) == 1, float(params[key]))
        if not swept:
            yield Effect(key, SYMBOLS.get(key, key), concerned[0], True, None, None, {})


def _effect(key: str, family: Family, context: Context, alone: bool, value: float) -> Effect:
    here = None if context.otherwise else value
    values = _chosen(context.sweep, value)
    pictures = _pictures(context.sweep, family, values, here) if values else {}
    return Effect(key, context.sweep.symbol, family, alone, context, finding(context.sweep, family), pictures)


def _chosen(sweep: Sweep, value: float) -> list[float]:
    """The values whose pictures are shown: the least, the largest, and between them this run's or the middle one."""
    there = [each for each in sweep.values if each in sweep.pictures]
    if len(there) <= SHOWN:
        return there
    between = there[1:-1]
    return [there[0], value if value in between else between[len(between) // 2], there[-1]]


def _pictures(sweep: Sweep, family: Family, values: Sequence[float], here: float | None) -> dict[str, list[Row]]:
    """A row of samples and one of reconstructions for each value; of a family without these, two rows of samples."""

    def cut(grid: str, first: int, count: int) -> dict[float, bytes]:
        return {value: grids.rows(sweep.pictures[value][sweep.of(family, grid)], first, count) for value in values}

    if "reconstructions" not in family.grids:
        return {"Samples: the same latents in each block": _rows(sweep, cut("samples", 0, 2), "samples", here)}
    originals = Row("original", cut("reconstructions", 0, 1)[values[0]], "Row of real images")
    rebuilt = _rows(sweep, cut("reconstructions", 1, 1), "reconstructions of them", here)
    return {
        "Samples: the same latents in each row": _rows(sweep, cut("samples", 0, 1), "samples", here),
        "Reconstructions": [originals, *rebuilt],
    }


def _rows(sweep: Sweep, images: Mapping[float, bytes], what: str, here: float | None) -> list[Row]:
    labels = {value: f"{sweep.symbol} = {number(value)}" for value in images}
    return [
        Row(labels[value], png, f"{what[0].upper()}{what[1:]} at {labels[value]}", value == here)
        for value, png in images.items()
    ]
