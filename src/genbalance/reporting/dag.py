"""The pipeline as a picture: the stages of dvc.yaml, and from which others each reads."""

import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from genbalance.params import INERT, flatten
from genbalance.reporting.text import SYMBOLS


@dataclass(frozen=True)
class Stage:
    """A stage; ``after`` are those whose outs it reads, but for those that follow from others; ``config`` are the
    parameters that decide its results, by section."""

    name: str
    after: tuple[str, ...]
    config: tuple[str, ...]


def stages(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> list[Stage]:
    """The stages of a parsed dvc.yaml, a matrix as a stage a member, named as DVC names it, but for those of families
    that are off.

    Args:
        pipeline: its content; ``${…}`` in it stands for a value of its ``vars``, of ``params`` or of the matrix.
        params: params.yaml by dotted key.
    """
    values = dict(params)
    for more in pipeline.get("vars", ()):
        values |= {**more, **flatten(more)} if isinstance(more, Mapping) else {}
    members = {
        member: entry
        for name, stage in pipeline["stages"].items()
        for member, entry in _members(name, stage, values).items()
        if not any(key.startswith("families.") and values.get(key) is False for key in entry.get("params", ()))
    }
    outs = {name: _paths(entry, "outs", "metrics", "plots") for name, entry in members.items()}
    feeds = {
        (maker, user)
        for user, entry in members.items()
        for maker in members
        if maker != user and any(_meet(out, dep) for out in outs[maker] for dep in _paths(entry, "deps"))
    }
    direct = feeds - _behind(feeds)
    return [
        Stage(
            name,
            tuple(maker for maker in members if (maker, name) in direct),
            tuple(SYMBOLS.get(key, key) for key in entry.get("params", ()) if not f"{key}.".startswith(INERT)),
        )
        for name, entry in members.items()
    ]


def _members(name: str, entry: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A stage, or each member of its matrix, with the values in their places."""
    matrix = _filled(entry.get("matrix", {}), values)
    found = {}
    for chosen in itertools.product(*matrix.values()):
        item = {f"item.{key}": value for key, value in zip(matrix, chosen, strict=True)}
        suffix = "-".join(map(str, chosen))
        found[f"{name}@{suffix}" if suffix else name] = _filled(entry, {**values, **item})
    return found


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    """``node`` with each ``${a.b}`` replaced; a text that is one of them alone becomes a value of any type."""
    if isinstance(node, Mapping):
        return {_filled(key, values): _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(each, values) for each in node]
    if not isinstance(node, str):
        return node
    if whole := re.fullmatch(r"\$\{([^}]+)\}", node):
        return values[whole[1]]
    return re.sub(r"\$\{([^}]+)\}", lambda found: str(values[found[1]]), node)


def _paths(entry: Mapping[str, Any], *keys: str) -> list[PurePosixPath]:
    names = itertools.chain.from_iterable(entry.get(key, ()) for key in keys)
    return [PurePosixPath(next(iter(name)) if isinstance(name, Mapping) else name) for name in names]


def _meet(out: PurePosixPath, dep: PurePosixPath) -> bool:
    return out == dep or out in dep.parents or dep in out.parents


def _behind(feeds: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs between which there is a way over others."""
    reached = set(feeds)
    longer: set[tuple[str, str]] = set()
    while more := {(a, c) for a, b in reached for middle, c in feeds if b == middle} - longer:
        longer |= more
        reached |= more
    return longer


def arrows(nodes: Iterable[Stage]) -> list[tuple[str, str]]:
    """Pairs of a stage and one that reads its outs, sorted."""
    return sorted((source, node.name) for node in nodes for source in node.after)


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
        text = " · ".join(self.stage.config)
        width = LINE if len(text) <= LINE else max(LINE // 2, len(text) // 2 + 4)  # two lines of like length
        return [line.strip(" ·") for line in textwrap.wrap(text, width)]


@dataclass(frozen=True)
class Drawing:
    """What the page draws: boxes, arrows as SVG paths, arrows as names for screen readers, and the size."""

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
    every = {key for node in nodes for key in node.config}
    return Drawing(
        tuple(
            Box(by_name[name], centre[name] - WIDTH / 2, top[name], len(every) > 1 and every == {*by_name[name].config})
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
