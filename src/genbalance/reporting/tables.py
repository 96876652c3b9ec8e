"""The long tables of the page: every parameter, and every number there is."""

import shlex
from collections.abc import Mapping
from typing import Any

from genbalance.reporting.results import Results
from genbalance.reporting.text import flat, parameter


def parameters(values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Every dotted parameter by its section; those without a section come first, under an empty name."""
    sections: dict[str, dict[str, str]] = {}
    for key, value in values.items():
        section = key.split(".")[0] if "." in key else ""
        sections.setdefault(section, {})[key] = parameter(value)
    return sections


def changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The dotted parameters that are not what ``defaults`` has, each as it is and as it would be."""
    return {
        key: (parameter(value), parameter(defaults[key]) if key in defaults else "–")
        for key, value in values.items()
        if key not in defaults or value != defaults[key]
    }


def command(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The shell command that runs the pipeline with these parameters, given those of ``defaults``."""
    settings = [shlex.quote(f"{key}={value}") for key, (value, _) in changed(values, defaults).items()]
    return " ".join(["dvc exp run", *(f"-S {setting}" for setting in settings)]) if settings else "dvc repro"


def every_number(results: Results) -> dict[str, dict[str, str]]:
    """All metrics by stage and dotted name, spelled as in their files."""
    return {stage: flat(values) for stage, values in results.metrics.items()}
