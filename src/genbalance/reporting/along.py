"""Sweeps that are at hand, with this run on their curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbalance.reporting.results import Results
from genbalance.reporting.style import Plot
from genbalance.reporting.sweep import Sweep
from genbalance.reporting.sweeps import Here, figure
from genbalance.reporting.text import number, parameter

OTHERS = {"gan": ("vae.", "beta"), "vae": ("gan.", "lambda")}  # params without a part in a model's numbers
PLACE = "data.path"  # nor has where the digits lay
MARKED = ("fd_test", "rate", "distortion")


@dataclass(frozen=True)
class Along:
    """A sweep's figure, and what to know of it: how many values and seeds, and each parameter that was not as it is in
    this run, by its key with the value that it had."""

    plot: Plot
    values: str
    seeds: str
    otherwise: Mapping[str, str]


def along(results: Results, params: Mapping[str, Any]) -> list[Along]:
    """Every sweep at hand. This run is marked on those that were run as it was but for what they vary, and the seed."""
    return [_of(sweep, results, params) for sweep in results.sweeps]


def _of(sweep: Sweep, results: Results, params: Mapping[str, Any]) -> Along:
    otherwise = {
        key: parameter(value)
        for key, value in sweep.shared.items()
        if key in params and params[key] != value and key != PLACE and not key.startswith(OTHERS[sweep.model])
    }
    seeds = sorted({seed for group in sweep.seeds for seed in group})
    return Along(
        figure(sweep, None if otherwise else _here(sweep, results, params)),
        ", ".join(number(value) for value in sweep.values),
        ", ".join(map(str, seeds)),
        otherwise,
    )


def _here(sweep: Sweep, results: Results, params: Mapping[str, Any]) -> Here:
    stage = f"evaluate_{sweep.model}"
    measured = {f"{stage}.{key}": results.metrics[stage][key] for key in MARKED if key in results.metrics[stage]}
    return {sweep.key: float(params[sweep.key])} | measured
