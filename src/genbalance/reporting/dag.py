"""The pipeline as a picture."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from genbalance.reporting.pipeline import Stage, arrows

WIDTH, HEIGHT, GAP, DROP = 150, 64, 14, 44  # a box and the room beside and below it, in SVG units
LINE = 20  # letters of the small text in a box


@dataclass(frozen=True)
class Box:
    """A stage's place: its upper left corner; ``reads_all`` where it depends on whatever any stage depends on."""

    stage: Stage
    x: float
    y: float
    reads_all: bool

    @property
    def lines(self) -> list[str]:
        """What the stage depends on, in lines that fit the box."""
        if self.reads_all:
            return ["every parameter"]
        text = " · ".join(self.stage.knobs)
        width = LINE if len(text) <= LINE else max(LINE // 2, len(text) // 2 + 4)  # two lines of like length
        return [line.strip(" ·") for line in textwrap.wrap(text, width)]


@dataclass(frozen=True)
class Drawing:
    """What the page draws: boxes, arrows as SVG paths, arrows as names for those who listen, and the size."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    arrows: tuple[tuple[str, str], ...]
    width: float
    height: float
    box: tuple[int, int] = (WIDTH, HEIGHT)


def drawing(nodes: Sequence[Stage]) -> Drawing:
    """A layered drawing, from top to bottom so that it stays readable on a phone."""
    links = arrows(nodes)
    rows = _rows([node.name for node in nodes], links)
    by_name = {node.name: node for node in nodes}
    width = max(len(row) for row in rows) * (WIDTH + GAP) - GAP + 8
    centre = {name: width / 2 + x * (WIDTH + GAP) for row in rows for name, x in _places(row).items()}
    top = {name: 4 + level * (HEIGHT + DROP) for level, row in enumerate(rows) for name in row}
    ordered = [name for row in rows for name in row]
    links.sort(key=lambda link: (ordered.index(link[0]), ordered.index(link[1])))
    paths = []
    for a, b in links:
        x1, y1, x2, y2 = centre[a], top[a] + HEIGHT, centre[b], top[b] - 7
        # Arrows that end in the same box come in side by side, in the order in which they start.
        sources = sorted((x for x, y in links if y == b), key=lambda name: centre[name])
        x2 += 18 * (sources.index(a) - (len(sources) - 1) / 2)
        bend = (y2 - y1) * 0.55
        paths.append(f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}")
    every = {knob for node in nodes for knob in node.knobs}
    return Drawing(
        tuple(
            Box(by_name[name], centre[name] - WIDTH / 2, top[name], len(every) > 1 and every == {*by_name[name].knobs})
            for name in ordered
        ),
        tuple(paths),
        tuple(links),
        width,
        len(rows) * (HEIGHT + DROP) - DROP + 8,
    )


def _rows(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Each stage in the row below its lowest source; in a row, near its neighbours."""
    level = dict.fromkeys(names, 0)
    for _ in names:
        for a, b in links:
            level[b] = max(level[b], level[a] + 1)
    rows = [[name for name in names if level[name] == row] for row in range(max(level.values()) + 1)]
    for _ in range(4):
        for row in rows:
            place = {name: x for line in rows for name, x in _places(line).items()}
            near = {name: [place[a if b == name else b] for a, b in links if name in (a, b)] for name in row}
            weight = {name: sum(xs) / max(1, len(xs)) for name, xs in near.items()}
            row.sort(key=weight.__getitem__)
    return rows


def _places(row: Sequence[str]) -> dict[str, float]:
    return {name: index - (len(row) - 1) / 2 for index, name in enumerate(row)}
