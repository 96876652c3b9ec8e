"""The sweeps at hand beside this run, and their answers to the project's questions: what each coefficient does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from genbalance.families.registry import LIKELIHOOD, Family, of_param
from genbalance.params import INERT, read_yaml
from genbalance.reporting.findings import Finding, finding
from genbalance.reporting.rate_distortion import own_curves
from genbalance.reporting.results import Results
from genbalance.reporting.slider import Slider, slider
from genbalance.reporting.sweep import Here, Sweep, figure, marked
from genbalance.reporting.text import SYMBOLS, experiment, listed, parameter
from genbalance.reporting.theme import Plot
from genbalance.runtime.errors import UserError

SIDES = ("evaluate.kid_", "evaluate.resamples", "evaluate.inversion_", "evaluate.importance_draws")  # not drawn
LAST_DIGITS = ("compute.device", "compute.threads", "compute.processes", "compute.bits")
NONE = "–"


@cache
def released() -> Mapping[str, Any]:
    """The released value of each parameter, by dotted key."""
    values: Mapping[str, Any] = read_yaml(Path(__file__).parent / "defaults.yaml")
    return values


@dataclass(frozen=True)
class Context:
    """A family's figures of a sweep beside this run: its curves for READMEs and papers, and what the page shows; and
    each parameter that was not as it is in this run, by its key with the value that it had."""

    sweep: Sweep
    family: Family
    plot: Plot
    slider: Slider
    otherwise: Mapping[str, str]


def in_context(results: Results, params: Mapping[str, Any]) -> list[Context]:
    """Every sweep at hand, by the families of this run that it measured. This run is marked on those whose params were
    its own but for what they vary, and the seed.

    Raises:
        UserError: a sweep varies what is no number among ``params``, all parameters by dotted key.
    """
    return [
        _context(sweep, family, results, params)
        for sweep in (*own_curves(results, params), *results.sweeps)
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
    # a logarithmic axis has no place for zero; this run's rate is with its prior, that of its own curve with N(0, I)
    off = sweep.own or (LIKELIHOOD not in family.parts and value <= 0 < sweep.values[0])
    here = None if off else _here(sweep, family, results, value)
    options = {name: text for name, text in otherwise.items() if text != NONE}
    if sweep.seed not in (None, params["seed"]):
        options["seed"] = str(sweep.seed)
    return Context(
        sweep,
        family,
        figure(sweep, family, None if otherwise else here),
        slider(
            sweep,
            family,
            value,
            here,
            lambda at: experiment({sweep.key: f"{at:.15g}"} | options),
            alike=not otherwise,
            note=_note(sweep, {name: (text, parameter(_value(params, name))) for name, text in otherwise.items()}),
        ),
        otherwise,
    )


def _note(sweep: Sweep, otherwise: Mapping[str, tuple[str, str]]) -> str:
    """What the runs were, and what was otherwise than in this run: the value there and here, by parameter."""
    if sweep.own:
        return "All of it is out of one training, this run’s, whose networks know β; with the prior N(0, I) throughout."
    seeds = sorted({seed for group in sweep.seeds for seed in group})
    several = len(seeds) > 1
    return (
        f"The runs of metrics/sweeps/{sweep.name}.json may have had other code than this one; "
        f"{'seeds' if several else 'seed'} {listed(map(str, seeds))}"
        + (f", pictures and commands of seed {sweep.seed}" if several and sweep.seed is not None else "")
        + "; "
        + (
            listed(f"{key} = {there} (this run: {here})" for key, (there, here) in otherwise.items())
            if otherwise
            else "all other parameters as in this run"
        )
        + "."
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


@dataclass(frozen=True)
class Effect:
    """What a coefficient does in a family: what the sweep at hand says of it, None without one. It is ``alone`` where
    the sweeps at hand measured its coefficient in one family."""

    key: str
    symbol: str
    family: Family
    alone: bool
    context: Context | None
    finding: Finding | None


def coefficients(families: Sequence[Family]) -> list[str]:
    """The coefficients of these families, in the order in which the page asks for their effects."""
    return sorted({key for family in families for key in family.coefficients})


def effects(families: Sequence[Family], contexts: Sequence[Context]) -> Iterator[Effect]:
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
            yield Effect(key, context.sweep.symbol, family, len(swept) == 1, context, finding(context.sweep, family))
        if not swept:
            yield Effect(key, SYMBOLS.get(key, key), concerned[0], True, None, None)
