"""The two models side by side."""

from dataclasses import dataclass

from genbalance.reporting.measures import GROUPS, Measure, Source
from genbalance.reporting.results import Results
from genbalance.reporting.text import number, share, span

NONE = "–"


@dataclass(frozen=True)
class Cell:
    """A number, and its 95% interval where it has one."""

    text: str
    span: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the comparison: the number of each model, and what real images and the mean image get."""

    label: str
    better: str
    gan: Cell
    vae: Cell
    real: str
    mean_image: str


def comparison(results: Results) -> dict[str, list[Line]]:
    """GAN and VAE side by side, by groups, with the floor (real images) and the ceiling (the mean image) if any."""
    return {title: [_line(results, measure) for measure in measures] for title, measures in GROUPS.items()}


def _line(results: Results, measure: Measure) -> Line:
    return Line(
        measure.label,
        measure.better,
        _cell(results, measure, "gan"),
        _cell(results, measure, "vae"),
        _shared(results, measure, measure.real),
        _shared(results, measure, measure.mean_image),
    )


def _cell(results: Results, measure: Measure, model: str) -> Cell:
    if model not in measure.models:
        return Cell(NONE)
    stage = f"evaluate_{model}"
    ends = results.interval(stage, measure.key)
    return Cell(_text(measure, results.number(stage, measure.key)), span(*ends) if ends else "")


def _shared(results: Results, measure: Measure, source: Source | None) -> str:
    """Once for both models, unless the two were measured unlike."""
    if source is None:
        return NONE
    values = (
        source(results, model) if callable(source) else results.number(f"evaluate_{model}", source)
        for model in measure.models
    )
    return " / ".join(dict.fromkeys(_text(measure, value) for value in values))


def _text(measure: Measure, value: float) -> str:
    return share(value) if measure.share else number(value)
