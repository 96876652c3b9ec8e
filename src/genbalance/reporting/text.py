"""How numbers and parameters are written on the page."""

import json
from typing import Any

SYMBOLS = {"lambda": "λ", "beta": "β"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 4) -> str:
    """``value`` for reading: thousands set apart, ``digits`` significant digits, a true minus, powers as powers.

    >>> number(183521), number(0.78125), number(-2.1e-4)
    ('183,521', '0.7812', '−2.1·10⁻⁴')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    if 1 <= abs(value) < 1e6:
        return f"{value:,.{max(0, digits - len(str(int(abs(value)))))}f}".replace("-", "−")
    if 1e-3 <= abs(value) < 1:
        return f"{value:.{digits}g}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")


def percent(share: float) -> str:
    """A share in [0, 1] as per cent with one decimal."""
    return f"{100 * share:.1f}%"


def parameter(value: Any) -> str:
    """A parameter as params.yaml would spell it."""
    return value if isinstance(value, str) else json.dumps(value)


def flat(values: Any, prefix: str = "") -> dict[str, str]:
    """Nested metrics by dotted names, exactly as their JSON file spells the numbers."""
    if not isinstance(values, dict):
        return {prefix: parameter(values)}
    return {k: v for key, value in values.items() for k, v in flat(value, f"{prefix}.{key}" if prefix else key).items()}
