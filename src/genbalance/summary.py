"""The numbers of a summary: what a published one may be, and its rounding."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from genbalance.errors import UserError

DIGITS = 6  # significant ones, of a published number


def rounded(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Texts, numbers and mappings of them, with fractions rounded to 6 significant digits.

    Raises:
        UserError: a number is NaN or infinite; the text names it.
    """
    return {str(name): _rounded(str(name), value) for name, value in metrics.items()}


def numbers(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a summary under its dotted name; texts are left out."""
    flat: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            flat |= numbers(value, f"{prefix}{name}.")
        elif not isinstance(value, str):
            flat[f"{prefix}{name}"] = value
    return flat


def _rounded(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(f"{name}.{key}", part) for key, part in value.items()}
    value = value.item() if hasattr(value, "item") else value  # of NumPy and torch: a plain number
    if isinstance(value, float):
        if not isfinite(value):
            raise UserError(f"metric {name}: is {value}; allowed: finite numbers; look at what it was computed from")
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, str | int):
        return value
    raise TypeError(f"metric {name}: {type(value).__name__} is neither text nor number")
