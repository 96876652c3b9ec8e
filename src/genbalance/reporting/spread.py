"""Numbers with their spread over seeds, and what is said of their differences, as text."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

STANDS_OUT, WITHIN, SAME = "stands out", "within the spread", "the same"
NOT_JUDGED = "cannot be judged (one seed)"
NONE = "–"


@dataclass(frozen=True)
class Cell:
    """One metric of one group; all but ``mean`` is empty for the group that is compared with, and a metric that is the
    same as there has no difference."""

    mean: str
    difference: str = ""
    interval: str = ""
    effect: str = ""
    verdict: str = ""


def cells(rows: "DataFrame") -> list[Cell]:
    """The texts of one metric, by group.

    A mean has two significant digits of its standard deviation; one without has those of the row's least deviation, and
    where nothing spreads four of the largest difference, or none if all are whole numbers.

    Args:
        rows: a row for each group, the one that is compared with first, with the columns ``mean``, ``sd``,
            ``difference``, ``low``, ``high``, ``effect`` and ``verdict``, NaN for what is not known.
    """
    spreads = [sd for sd in rows["sd"] if sd > 0]
    whole = not spreads and all(float(mean).is_integer() for mean in rows["mean"])
    shared = 0 if whole else decimals(min(spreads)) if spreads else decimals(rows["difference"].abs().max(), 4)
    first = rows.iloc[0]
    texts = [Cell(_mean(first["mean"], first["sd"], shared))]
    for _, row in rows.iloc[1:].iterrows():
        mean = _mean(row["mean"], row["sd"], shared)
        if row["verdict"] == SAME:
            texts.append(Cell(mean, verdict=SAME))
            continue
        largest = max([sd for sd in (first["sd"], row["sd"]) if sd > 0], default=0.0)
        fine, interval, effect = decimals(largest) if largest else shared, NONE, NONE
        if not math.isnan(row["low"]):
            if row["high"] > row["low"]:  # a paired difference may spread far less than either side
                fine = decimals((row["high"] - row["low"]) / 2)
            interval = f"[{fixed(row['low'], fine, '+')}, {fixed(row['high'], fine, '+')}]"
            effect = fixed(row["effect"], 2, "+").replace("inf", "∞")
        texts.append(Cell(mean, fixed(row["difference"], fine, "+"), interval, effect, row["verdict"]))
    return texts


def fixed(value: float, decimals: int, sign: str = "-") -> str:
    """``value`` with thousands set apart and a true minus; ``sign`` "+" writes that of positive numbers, too.

    >>> fixed(-93166.7, 0), fixed(0.5, 2, "+")
    ('−93,167', '+0.50')
    """
    return f"{value:{sign}z,.{decimals}f}".replace("-", "−")


def _mean(mean: float, sd: float, shared: int) -> str:
    if math.isnan(sd):
        return fixed(mean, shared)
    digits = decimals(sd) if sd else shared
    return f"{fixed(mean, digits)} ± {fixed(sd, digits)}"


def decimals(scale: float, significant: int = 2) -> int:
    """The decimals that give ``scale`` so many significant digits."""
    return min(max(significant - 1 - math.floor(math.log10(scale or 1.0)), 0), 15)
