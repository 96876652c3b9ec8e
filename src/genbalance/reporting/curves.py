"""Training curves: those of this run, as the families' records list them, and those of several groups of runs."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from genbalance.families.registry import Chart, Family, known
from genbalance.reporting.results import Results
from genbalance.reporting.text import number, share
from genbalance.reporting.theme import Plot, Theme, axes, legend, line, log_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

DASHES = (0, (2, 2))  # of lines that mark a place


def curves(results: Results, params: Mapping[str, Any]) -> list[Plot]:
    """The charts of each family, then that of the reference classifier; ``params`` are all by dotted key."""
    charts = [_chart(results, family, chart, params) for family in results.families for chart in family.charts]
    return [*charts, _classifier(results)]


def _chart(results: Results, family: Family, chart: Chart, params: Mapping[str, Any]) -> Plot:
    training = f"train_{family.name}"
    table = results.tables[f"{training}/curves"]
    epochs = table["epoch"]
    panels = [it for it in chart.panels if not it.adapted or all(line.column in table for line in it.lines)]
    kept = results.number(training, chart.kept) if chart.kept else None
    texts = {"epochs": str(len(epochs)), "kept": "" if kept is None else number(kept)} | {
        line.column: (share if panel.bounds == (0, 1) else number)(table[line.column][-1])
        for panel in panels
        for line in panel.lines
    }
    adapted = "".join(
        f" Below, on a logarithmic axis, {it.unit} over the epochs, which ends at {texts[line.column]}."
        for it in panels
        if it.adapted
        for line in it.lines
    )

    def draw(figure: "Figure", theme: Theme) -> None:
        units = (it.unit if isinstance(it.unit, str) else it.unit.text(params) for it in panels)
        named: set[str] = set()
        for drawn, panel in zip(axes(figure, *units), panels, strict=True):
            if panel.level:
                _level(drawn, *panel.level, theme)
            for it in panel.lines:
                ink = getattr(theme, it.ink) if it.ink else theme.of(family)
                line(drawn, epochs, table[it.column], color=ink, label=it.label, ls=it.style, lw=it.width)
            if kept is not None:
                drawn.axvline(kept, color=theme.muted, lw=1, ls=DASHES, label="best epoch")
            if panel.log:
                log_axis(drawn, [value for it in panel.lines for value in table[it.column]])
            if panel.bounds:
                drawn.set_ylim(*panel.bounds)
            if not named.issuperset(labels := {it.label for it in panel.lines}):
                legend(drawn)
                named |= labels

    caption = chart.caption if isinstance(chart.caption, str) else chart.caption.text(params)
    return Plot(chart.name, chart.title, chart.alt.format_map(texts) + adapted, caption, draw)


def _level(panel: Any, value: float, label: str, theme: Theme) -> None:
    panel.axhline(value, color=theme.muted, lw=1.2, ls=DASHES)
    panel.annotate(label, (1, value), (0, 3), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                   textcoords="offset points", color=theme.muted, fontsize=9.5)  # fmt: skip


def _classifier(results: Results) -> Plot:
    table = results.tables["train_classifier/curves"]
    epochs = table["epoch"]

    def draw(figure: "Figure", theme: Theme) -> None:
        losses, accuracy = axes(figure, "cross-entropy\n[nats]", "validation\naccuracy")
        line(losses, epochs, table["train_loss"], color=theme.muted, label="training", ls="--", lw=1.4)
        line(losses, epochs, table["val_loss"], color=theme.real, label="validation")
        line(accuracy, epochs, table["val_accuracy"], color=theme.real)
        log_axis(losses, table["train_loss"] + table["val_loss"])
        legend(losses)

    return Plot(
        "classifier",
        "Reference classifier: loss and accuracy",
        f"Two line charts over {len(epochs)} epochs: cross-entropy on a logarithmic axis, and accuracy on validation "
        f"images, which ends at {share(table['val_accuracy'][-1])}.",
        "The training loss is measured on shifted and rotated images, so it may lie above the validation loss.",
        draw,
    )


TITLES = {f"train_{name}": family.title for name, family in known().items()} | {
    "train_classifier": "Reference classifier"
}
PANELS = {
    f"train_{name}": {it.column: it.compared for chart in family.charts for it in chart.lines if it.compared}
    for name, family in known().items()
} | {"train_classifier": {"val_loss": "cross-entropy\n[nats]", "val_accuracy": "validation\naccuracy"}}
"""What a comparison of runs shows of a training: columns of its curves.csv, each with the label of its axis."""
STYLES = ("-", "--", ":", "-.")  # a round of hues each
LONGEST = 30  # characters of a group's name in the legend


def overlay(training: str, groups: Mapping[str, Sequence["DataFrame"]]) -> Plot:
    """The curves of several groups of runs over one another: a line a run, a colour a group.

    Args:
        training: one of :data:`PANELS`.
        groups: by name, the first the one that is compared with: the curves of each of its runs, with the columns
            ``epoch`` and those of the panels; what not all of them have is not drawn.
    """
    every = [table for tables in groups.values() for table in tables]
    panels = {key: label for key, label in PANELS[training].items() if all(key in table for table in every)}
    last = {
        key: "; ".join(f"{n} {number(mean(t[key].iloc[-1] for t in tables))}" for n, tables in groups.items() if tables)
        for key in panels
    }

    def draw(figure: "Figure", theme: Theme) -> None:
        inks = (theme.ink, *map(theme.of, known().values()), theme.real, theme.extra)
        drawn = axes(figure, *panels.values())
        for place, (name, tables) in enumerate(groups.items()):
            style: dict[str, Any] = {
                "color": inks[place % len(inks)],
                "ls": STYLES[place // len(inks) % len(STYLES)],
                "lw": 1.4,
            }
            for panel, key in zip(drawn, panels, strict=True):
                for table in tables:
                    line(panel, list(table["epoch"]), list(table[key]), **style, alpha=0.8)
            drawn[0].plot([], [], label=_label(name), **style)
        figure.legend(loc="outside upper left", ncols=2)

    return Plot(
        f"{training}_curves",
        TITLES[training],
        "Line charts over epochs, a line a run. "
        + " ".join(f"{key} ends at, on average: {values}." for key, values in last.items()),
        "A line a run, a colour a group.",
        draw,
        (5.4, 1.0 + 1.6 * len(panels) + 0.15 * len(groups)),
    )


def _label(name: str) -> str:
    """A name as matplotlib prints it: its dollars begin no formula."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return short.replace("$", r"\$")
