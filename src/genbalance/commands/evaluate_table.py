"""What was measured of a file as plain text, in the words of the report's page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbalance.commands.columns import aligned
from genbalance.reporting.measures import ARROWS, GROUPS, Measure, Source
from genbalance.reporting.results import Results
from genbalance.reporting.text import number, share, span

if TYPE_CHECKING:
    import pandas as pd

HEADER = ("", "", "value", "95% interval", "real digits", "mean image")
MODEL = "file"  # in the place of gan or vae
STAGE = f"evaluate_{MODEL}"


def as_text(metrics: Mapping[str, Any], classes: "pd.DataFrame") -> str:
    """A line for each metric (value, 95% interval, what real digits and the mean image get), then one for each class.

    An arrow says where the best lies: ↓ low, ↑ high, →real near what real digits get, →½ and →0 there.
    """
    columns = {str(name): list(column) for name, column in classes.items()}
    results = Results({STAGE: metrics}, {f"{STAGE}/classes": columns}, pictures={}, films={})
    rows: list[Sequence[str]] = [HEADER]
    for title, measures in GROUPS.items():
        if lines := [_row(results, measure) for measure in measures if measure.key in metrics]:
            rows += [(), (title,), *lines]
    by_class = ([number(value) for value in row] for row in zip(*columns.values(), strict=True))
    return f"{aligned(rows)}\n\n{aligned([list(columns), *by_class])}"


def _row(results: Results, measure: Measure) -> tuple[str, ...]:
    def text(source: Source | None) -> str:
        if source is None:
            return ""
        value = source(results, MODEL) if callable(source) else results.number(STAGE, source)
        return share(value) if measure.share else number(value)

    ends = results.interval(STAGE, measure.key)
    return (
        f"  {measure.label}",
        ARROWS[measure.better],
        text(measure.key),
        span(*ends) if ends else "",
        text(measure.real),
        text(measure.mean_image),
    )
