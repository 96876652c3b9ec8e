"""The stages, and who feeds whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from genbalance.reporting.text import SYMBOLS


@dataclass(frozen=True)
class Stage:
    """A stage; ``after`` are those that feed it, ``knobs`` the parameters on which it depends, by section."""

    name: str
    after: tuple[str, ...]
    knobs: tuple[str, ...]


def stages(pipeline: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Stage]:
    """The stages of a parsed pipeline.yaml."""
    return [
        Stage(name, tuple(entry["after"]), tuple(SYMBOLS.get(knob, knob) for knob in entry["params"]))
        for name, entry in pipeline.items()
    ]


def arrows(nodes: Iterable[Stage]) -> list[tuple[str, str]]:
    """Who feeds whom, sorted."""
    return sorted((source, node.name) for node in nodes for source in node.after)
