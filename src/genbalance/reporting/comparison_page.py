"""The page of a comparison of groups of runs: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genbalance.reporting.measures import labels
from genbalance.reporting.page import render
from genbalance.reporting.spread import NONE, STANDS_OUT, Cell
from genbalance.reporting.theme import Plot, png_pair


@dataclass(frozen=True)
class Side:
    """One group; ``runs`` are texts."""

    letter: str
    name: str
    seeds: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A sample grid, PNG bytes, and whose it is."""

    image: bytes
    of: str


@dataclass(frozen=True)
class CostRow:
    """What something cost, in a unit: a text for each group."""

    name: str
    unit: str
    cells: Sequence[str]


@dataclass(frozen=True)
class CostTable:
    """Rows, and sentences that say what is counted."""

    rows: Sequence[CostRow]
    notes: Sequence[str]


@dataclass(frozen=True)
class Content:
    """All content of the page.

    Attributes:
        sides: the groups, the one that is compared with first.
        params: those that differ, by key: the value of each group.
        notes: sentences above the numbers; ``foot`` those below them.
        metrics: by dotted name, a cell for each group.
        grids: by what they show and by seeds, groups beside one another.
        curves: figures of the trainings whose curves differ.
        same_curves: names of those whose curves do not.
        missing: runs and trainings whose curves are not at hand.
        sweeps: the figures of the one parameter that varies, if there is one, by model family.
        cost: the energy that the runs took, if it is known.
    """

    sides: Sequence[Side]
    params: Mapping[str, Sequence[str]]
    notes: Sequence[str]
    foot: Sequence[str]
    metrics: Mapping[str, Sequence[Cell]]
    grids: Mapping[str, Mapping[str, Sequence[Grid]]]
    curves: Sequence[Plot]
    same_curves: Sequence[str]
    missing: Sequence[str]
    sweeps: Sequence[Plot]
    cost: CostTable | None = None

    @property
    def plots(self) -> list[Plot]:
        """All figures that are drawn for it."""
        return [*self.sweeps, *self.curves]


def comparison_page(content: Content) -> str:
    """The page as HTML: equal input, equal text."""
    shown = {plot.name: (plot, *png_pair(plot)) for plot in content.plots}
    return render("comparison.html.j2", content=content, shown=shown, names=labels(), stands_out=STANDS_OUT, none_=NONE)
