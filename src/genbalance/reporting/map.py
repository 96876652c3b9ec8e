"""Maps: runs over two parameters, perhaps over seeds each, and the Fréchet distance at each pair of values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from genbalance.families.registry import Family, known, of_param
from genbalance.reporting.text import SYMBOLS, aligned, mean_sd
from genbalance.reporting.theme import Plot, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "–"
DARK_FROM = 0.7  # of a colour ramp: from here on words in the paper's colour are easier to read than in that of ink
Place = tuple[float, ...]
"""A value of each of the two parameters."""


def distance(family: Family) -> str:
    """The metric of a family that its map shows, dotted."""
    return f"evaluate_{family.name}.fd_test"


def concerned(keys: tuple[str, ...]) -> tuple[Family, ...]:
    """The families that one of these parameters belongs to."""
    return tuple(family for family in known().values() if any(family in of_param(key) for key in keys))


@dataclass(frozen=True)
class Map:
    """Runs by the values of the two parameters that vary.

    Attributes:
        keys: the parameters, dotted: that of the rows, that of the columns.
        shared: all others, dotted, but the seed.
        seeds: of the runs at each place.
        metrics: at each place, by dotted name, the value of each of its runs; those that all of these have.
    """

    keys: tuple[str, ...]
    shared: Mapping[str, Any]
    seeds: Mapping[Place, tuple[int, ...]]
    metrics: Mapping[Place, Mapping[str, tuple[float, ...]]]

    @property
    def families(self) -> tuple[Family, ...]:
        """Those that one of the parameters belongs to and that were measured somewhere."""
        return tuple(family for family in concerned(self.keys) if self.distances(family))

    @property
    def axes(self) -> tuple[list[float], ...]:
        """The values of each parameter, in rising order."""
        return tuple(sorted(set(values)) for values in zip(*self.seeds, strict=True))

    @property
    def symbols(self) -> tuple[str, ...]:
        """λ, β or a parameter's own name."""
        return tuple(SYMBOLS.get(key, key) for key in self.keys)

    def distances(self, family: Family) -> dict[Place, tuple[float, ...]]:
        """Of the family's samples, at the places where every run has measured it."""
        return {at: own[distance(family)] for at, own in self.metrics.items() if distance(family) in own}

    def table(self, family: Family) -> str:
        """A caption, and a row for each value of the first parameter with a cell for each of the second."""
        found, (rows, columns), (row, column) = self.distances(family), self.axes, self.symbols
        cells = [[mean_sd(found[y, x]) if (y, x) in found else NONE for x in columns] for y in rows]
        head = [row, *(f"{column} = {_plain(x)}" for x in columns)]
        lines = aligned([head, *([_plain(y), *line] for y, line in zip(rows, cells, strict=True))])
        return f"{self.caption(family)}\n{lines}"

    def caption(self, family: Family) -> str:
        """What the cells hold."""
        found, (rows, columns) = self.distances(family), self.axes
        counts = sorted({len(values) for values in found.values()})
        range_ = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        over = f"; mean ± SD over {range_} seeds" if counts[-1] > 1 else ""
        gaps = f"; {NONE}: not measured" if len(found) < len(rows) * len(columns) else ""
        return f"{family.title}: Fréchet distance (fd_test), lower is better{over}{gaps}"

    def figure(self, family: Family) -> Plot:
        """The table as a heat map: the larger the logarithm of the distance, the nearer to the family's colour."""
        found, (rows, columns), (row, column) = self.distances(family), self.axes, self.symbols
        means = {at: mean(values) for at, values in found.items()}
        positive = [value for value in means.values() if value > 0] or [1.0]
        low, high = math.log(min(positive)), math.log(max(positive))
        shades = {  # the logarithm in [0, 1]; a distance of zero has that of the least other one
            at: (math.log(value) - low) / (high - low) if value > 0 and high > low else 0.0
            for at, value in means.items()
        }
        best = min(means, key=means.__getitem__)

        def draw(figure: "Figure", theme: Theme) -> None:
            from matplotlib.colors import LinearSegmentedColormap

            panel = figure.subplots()
            ramp = LinearSegmentedColormap.from_list("ramp", (theme.card, theme.of(family)))
            grid = [[shades.get((y, x), math.nan) for x in columns] for y in rows]
            panel.imshow(grid, ramp, vmin=0, vmax=1, aspect="auto")
            for i, j in ((i, j) for i in range(len(rows)) for j in range(len(columns))):
                at = rows[i], columns[j]
                text = mean_sd(found[at]).replace(" ± ", "\n± ") if at in found else NONE
                panel.text(j, i, text, ha="center", va="center", fontsize=9.5,
                           color=theme.card if shades.get(at, 0) > DARK_FROM else theme.ink)  # fmt: skip
            panel.set_xticks(range(len(columns)), [_plain(x) for x in columns])
            panel.set_yticks(range(len(rows)), [_plain(y) for y in rows])
            panel.set_xlabel(column)
            panel.set_ylabel(row, rotation=0 if len(row) == 1 else 90)
            panel.set_title(f"{family.title}: Fréchet distance, lower is better", fontsize=10.5)
            panel.grid(visible=False)
            panel.tick_params(length=0)

        where = ", ".join(f"{name} = {_plain(value)}" for name, value in zip(self.symbols, best, strict=True))
        return Plot(
            f"map_{family.name}",
            f"What {row} and {column} do in the {family.title}",
            f"Heat map of the Fréchet distance over {row} and {column}: least at {where}, {mean_sd(found[best])}.",
            self.caption(family),
            draw,
            (max(4.7, 1.2 + 0.9 * len(columns)), 1.2 + 0.6 * len(rows)),
        )

    def as_json(self) -> dict[str, Any]:
        """Every metric of every run, of the families that the map shows."""
        own = tuple(f"{stage}_{family.name}." for family in self.families for stage in ("train", "evaluate"))
        points = [
            dict(zip(self.keys, at, strict=True))
            | {
                "seeds": seeds,
                "metrics": {name: values for name, values in self.metrics[at].items() if name.startswith(own)},
            }
            for at, seeds in self.seeds.items()
        ]
        seeds = sorted({seed for group in self.seeds.values() for seed in group})
        return {"parameters": self.keys, "params": dict(self.shared), "seeds": seeds, "points": points}


def _plain(value: float) -> str:
    """A value as a label: the same for 1 and 1.0, which params.yaml may both hold."""
    return f"{value:.15g}"
