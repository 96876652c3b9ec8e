"""How numbers, parameters and rows of them are written, on the page and in a terminal."""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, product
from statistics import mean, stdev
from string import ascii_lowercase
from typing import Any

FINEST = 5  # decimals of an interval; a narrower one is written like any number
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


def tick(value: float, digits: int = 6) -> str:
    """A number along an axis: without noughts at its end.

    >>> tick(2.5), tick(-0.1 - 0.2), tick(1500), tick(3.98107, 3)
    ('2.5', '−0.3', '1,500', '3.98')
    """
    return f"{value:,.{digits}g}".replace("-", "−")


def share(value: float) -> str:
    """A share, accuracy or rate in [0, 1], as papers write it: with three decimals."""
    return f"{value:.3f}"


def span(low: float, high: float) -> str:
    """An interval, with as many decimals as give its width two significant digits.

    >>> span(110.214, 113.306), span(0.0667, 0.0942)
    ('110.2 … 113.3', '0.067 … 0.094')
    """
    width = high - low
    decimals = max(0, 1 - math.floor(math.log10(width))) if width > 0 else FINEST + 1
    if decimals > FINEST:
        return f"{number(low)} … {number(high)}"
    return f"{low:,.{decimals}f} … {high:,.{decimals}f}".replace("-", "−")


def mean_sd(values: Sequence[float]) -> str:
    """The mean, and of several values ± their standard deviation.

    >>> mean_sd([9.41]), mean_sd([1.0, 2.0, 4.5])
    ('9.41', '2.5 ± 1.8')
    """
    spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
    return f"{mean(values):.4g}{spread}"


def unbroken(text: str) -> str:
    """``text`` with spaces around equals signs at which no line breaks."""
    return text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def listed(texts: Iterable[str], last: str = "and") -> str:
    """Texts in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *head, end = texts
    return f"{', '.join(head)} {last} {end}" if head else end


def parameter(value: Any) -> str:
    """A parameter as params.yaml would spell it."""
    return value if isinstance(value, str) else json.dumps(value)


def experiment(options: Mapping[str, str]) -> str:
    """The shell command that runs the pipeline with these parameters.

    >>> experiment({"beta": "4", "data.path": "my digits"})
    "dvc exp run -S beta=4 -S 'data.path=my digits'"
    """
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(f'{key}={value}')}" for key, value in options.items())])


def letters() -> Iterator[str]:
    """a, b, … z, aa, ab, …: what groups are called for short."""
    return ("".join(word) for length in count(1) for word in product(ascii_lowercase, repeat=length))


def flat(values: Any, prefix: str = "") -> dict[str, str]:
    """Nested metrics by dotted names, exactly as their JSON file spells the numbers."""
    if not isinstance(values, dict):
        return {prefix: parameter(values)}
    return {k: v for key, value in values.items() for k, v in flat(value, f"{prefix}.{key}" if prefix else key).items()}


def aligned(rows: Iterable[Sequence[str]], texts: bool = False) -> str:
    """Rows as lines, the first column to the left, the others to the right, or to the left as well where they are
    ``texts``; shorter rows are headings."""
    rows = list(rows)
    columns = max(map(len, rows))
    widths = [max(len(row[column]) for row in rows if len(row) == columns) for column in range(columns)]
    lines = []
    for row in rows:
        cells = row if len(row) == columns else ("".join(row),)
        padded = (
            f"{cell:{'<' if texts or column == 0 else '>'}{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=False))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
