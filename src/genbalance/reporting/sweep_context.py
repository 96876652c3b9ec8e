"""Sweeps that are at hand, with this run on their curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbalance.errors import UserError
from genbalance.reporting.results import Results
from genbalance.reporting.style import Plot
from genbalance.reporting.sweep import Sweep
from genbalance.reporting.sweep_curves import MARKED, Here, figure, glance
from genbalance.reporting.text import number, parameter

# params without a part in what is drawn of a model
OTHERS = {"gan": ("vae.", "beta"), "vae": ("gan.", "lambda")}
SIDES = ("evaluate.kid_", "evaluate.resamples", "evaluate.inversion_", "evaluate.importance_draws")
LAST_DIGITS = ("compute.device", "compute.threads", "compute.bits")  # all that these change of a number
NONE = "–"


@dataclass(frozen=True)
class Context:
    """A sweep with its figure, its main curve for a ``glance``, and what to know of it: its values and seeds, and each
    parameter that was not as it is in this run, by its key with the value that it had."""

    sweep: Sweep
    plot: Plot
    glance: Plot
    values: str
    seeds: str
    otherwise: Mapping[str, str]


def in_context(results: Results, params: Mapping[str, Any]) -> list[Context]:
    """Every sweep at hand. This run is marked on those whose params were its own but for what they vary, and the seed.

    Raises:
        UserError: a sweep varies what is no number among ``params``, all parameters by dotted key.
    """
    return [_context(sweep, results, params) for sweep in results.sweeps]


def _context(sweep: Sweep, results: Results, params: Mapping[str, Any]) -> Context:
    value = params.get(sweep.key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"metrics/sweeps/{sweep.name}.json: parameter: found {sweep.key!r}, which is "
            f"{'no number' if sweep.key in params else 'none'} in params.yaml; allowed: a number of params.yaml"
        )
    otherwise = {
        key: parameter(_told(sweep.shared, key))
        for key in params
        if _matters(key, sweep, params) and _told(sweep.shared, key) != _told(params, key)
    }
    seeds = sorted({seed for group in sweep.seeds for seed in group})
    # a logarithmic axis has no place for zero
    off = sweep.model == "gan" and value <= 0 < sweep.values[0]
    here = None if off else _here(sweep, results, value)
    return Context(
        sweep,
        figure(sweep, None if otherwise else here),
        glance(sweep, here, alike=not otherwise),
        ", ".join(number(each) for each in sweep.values),
        ", ".join(map(str, seeds)),
        otherwise,
    )


def _matters(key: str, sweep: Sweep, params: Mapping[str, Any]) -> bool:
    if key == "data.path":
        return bool(params["data.source"] == "idx")
    return key not in (sweep.key, "seed", *LAST_DIGITS) and not key.startswith((*OTHERS[sweep.model], *SIDES))


def _told(values: Mapping[str, Any], key: str) -> Any:
    value = values.get(key, NONE)
    return Path(value).name if key == "data.path" else value


def _here(sweep: Sweep, results: Results, value: float) -> Here:
    return {sweep.key: value} | {name: results.number(*name.split(".")) for name in MARKED[sweep.model]}
