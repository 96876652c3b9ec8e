"""The colours of the page and its figures, light and dark, and the drawing of a figure: equal input, equal bytes."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from genbalance.families.registry import Family, known

if TYPE_CHECKING:  # matplotlib takes half a second, and a program that only validates params does not need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

DPI = 200  # twice what a figure is shown at, for sharp text on phones and in print


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb, of the page and of its figures alike; a family's own is in its record.

    One meaning, one hue everywhere: the data hues are Okabe and Ito's colour-blind-safe set, on light paper so dark
    that words in them are legible.
    """

    name: str
    paper: str
    card: str  # below figures
    ink: str
    muted: str
    grid: str
    track: str
    accent: str  # links, focus
    real: str
    extra: str

    @property
    def ramp(self) -> tuple[str, str]:
        """From nothing to all, for matrices."""
        return self.card, self.accent

    def of(self, family: Family) -> str:
        """The family's colour."""
        return family.inks[self is DARK]

    @property
    def colours(self) -> dict[str, str]:
        """All of them by the names of the style sheet's properties."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}
        return own | {name: self.of(family) for name, family in known().items()}


LIGHT = Theme("light", "#f7f6f3", "#ffffff", "#1c2430", "#5b6675", "#e4e7ec", "#e9ebef", "#0072b2", "#007a58",
              "#a4447e")  # fmt: skip
DARK = Theme("dark", "#0f1319", "#171c24", "#e8ebf0", "#a0a9b6", "#2c3440", "#2a323d", "#56b4e9", "#2cc39a",
             "#dd92bd")  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A figure to be drawn: what it says in words, and how it is drawn in a theme."""

    name: str
    title: str
    alt: str
    caption: str
    draw: Callable[["Figure", Theme], None]
    size: tuple[float, float] = (4.7, 3.5)
    """Inches. At 100 CSS pixels an inch, as on the page, 10 points are 14 pixels."""


def png(plot: Plot, theme: Theme) -> bytes:
    """The figure as a PNG: equal input, equal bytes, whatever the reader's matplotlibrc says."""
    return _drawn(plot, theme)[0]


def png_pair(plot: Plot) -> tuple[bytes, bytes]:
    """The figure as :func:`png` gives it, light and dark. It is laid out once, which takes as long as drawing it: where
    axes are does not depend on colours."""
    light, places = _drawn(plot, LIGHT)
    return light, _drawn(plot, DARK, places)[0]


def _drawn(plot: Plot, theme: Theme, places: "Sequence[Bbox] | None" = None) -> "tuple[bytes, list[Bbox]]":
    """The PNG, and where the figure's axes are; ``places`` says where they are to be."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_settings(theme))
        figure = Figure(figsize=plot.size, dpi=DPI, layout=None if places else "constrained")
        plot.draw(figure, theme)
        for panel, place in zip(figure.axes, places or (), strict=bool(places)):
            panel.set_position(place)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})  # else it names matplotlib's version
    return buffer.getvalue(), [panel.get_position(original=True) for panel in figure.axes]


def axes(figure: "Figure", *labels: str) -> list["Axes"]:
    """One panel under another on a common axis of epochs; ``labels`` name the y axes with their units."""
    from matplotlib.ticker import MaxNLocator

    panels = list(figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0])
    for panel, label in zip(panels, labels, strict=True):
        panel.set_ylabel(label)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
    panels[-1].set_xlabel("epoch")
    figure.align_ylabels()
    return panels


def line(panel: "Axes", epochs: Sequence[float], values: Sequence[float], **style: Any) -> None:
    """A curve; a single epoch is shown as a dot, which a line cannot show."""
    if len(epochs) == 1:
        panel.set_xticks(list(epochs))
    panel.plot(epochs, values, marker="o" if len(epochs) == 1 else None, **style)


def log_axis(panel: "Axes", values: Sequence[float]) -> None:
    """A logarithmic y axis with plain numbers on it; it stays linear when there is nothing above zero to show."""
    import math

    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    positive = [value for value in values if value > 0]
    if not positive:
        return
    narrow = math.log10(max(positive) / min(positive)) < 1.5
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="y", which="minor", length=0)


def legend(panel: "Axes", columns: int = 4) -> None:
    """The legend above the panel, where it hides no data."""
    panel.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.2)


def _settings(theme: Theme) -> dict[Any, Any]:
    return {
        "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same font everywhere
        "font.size": 10.5,
        "axes.labelsize": 10.5,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.card,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.xmargin": 0.02,
        "figure.facecolor": theme.card,
        "savefig.facecolor": theme.card,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "legend.handlelength": 1.6,
        "legend.labelcolor": theme.ink,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "text.color": theme.ink,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "ytick.major.size": 0,
    }
