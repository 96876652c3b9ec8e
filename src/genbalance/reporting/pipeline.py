"""What dvc.yaml says: the stages, and who feeds whom."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from genbalance.errors import UserError
from genbalance.reporting.text import SYMBOLS


@dataclass(frozen=True)
class Stage:
    """A stage after expansion of its matrix; ``knobs`` are the parameters on which it depends, by section."""

    name: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    knobs: tuple[str, ...]


def stages(pipeline: Any) -> list[Stage]:
    """The stages of a parsed dvc.yaml, a matrix as one stage a combination, named as DVC names it (``evaluate@gan``).

    Raises:
        UserError: there are no stages.
    """
    entries = pipeline.get("stages") if isinstance(pipeline, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise UserError("dvc.yaml: found no stages; take the file from the repository")
    expanded = []
    for name, entry in entries.items():
        matrix = entry.get("matrix", {})
        for values in itertools.product(*matrix.values()):
            item = dict(zip(matrix, values, strict=True))
            suffix = "@" + "-".join(str(value) for value in values) if values else ""
            outs = [path for key in ("outs", "metrics", "plots") for path in _names(entry.get(key), item)]
            knobs = dict.fromkeys(key.split(".")[0] for key in _params(entry.get("params"), item))
            expanded.append(
                Stage(
                    name + suffix,
                    tuple(_names(entry.get("deps"), item)),
                    tuple(outs),
                    tuple(SYMBOLS.get(knob, knob) for knob in knobs),
                )
            )
    return expanded


def arrows(nodes: Sequence[Stage]) -> list[tuple[str, str]]:
    """Who feeds whom, without the arrows that follow from others (the transitive reduction)."""
    feeds = {
        (maker.name, user.name)
        for maker, user in itertools.permutations(nodes, 2)
        if any(_overlap(out, dep) for out in maker.outs for dep in user.deps)
    }
    return sorted((a, b) for a, b in feeds if not any(_reaches(feeds, c, b) for x, c in feeds if x == a and c != b))


def _reaches(feeds: set[tuple[str, str]], start: str, end: str) -> bool:
    seen, front = set(), [start]
    while front:
        here = front.pop()
        if here not in seen:
            seen.add(here)
            front += [b for a, b in feeds if a == here]
    return end in seen


def _overlap(out: str, dep: str) -> bool:
    one, other = PurePosixPath(out), PurePosixPath(dep)
    return one == other or one in other.parents or other in one.parents


def _names(entries: Any, item: Mapping[str, Any]) -> Iterable[str]:
    """DVC writes an entry as text, or as a mapping of the text to options."""
    for entry in entries or ():
        text = next(iter(entry)) if isinstance(entry, dict) else str(entry)
        yield re.sub(r"\$\{item\.(\w+)\}", lambda match: str(item.get(match[1], match[0])), text)


def _params(entries: Any, item: Mapping[str, Any]) -> Iterable[str]:
    """Keys of params.yaml, written plainly or under the name of a file."""
    for entry in entries or ():
        for keys in entry.values() if isinstance(entry, dict) else [[entry]]:
            yield from _names(keys, item)
