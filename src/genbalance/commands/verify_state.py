"""What a commit tells of its pipeline run, and what a run of it left: hashes of outs, inputs and metrics."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from genbalance.dotted import leaves
from genbalance.errors import UserError
from genbalance.locks import LOCK, MALFORMED, parse_lock
from genbalance.pins import exact, pins

METRICS = "metrics"
MACHINE = "machine"


@dataclass(frozen=True)
class Stage:
    """One stage's entry in dvc.lock.

    Attributes:
        inputs: MD5 by path of its deps but those that other stages make; its command and params as they stand.
        outs: MD5 by path. Of an out that git keeps it is that of the file, with the one of dvc.lock behind it where
            that differs.
        metrics: numbers and texts by dotted key, out of its metrics file.
        machine: the kind that computed it; "" where the metrics do not tell.
    """

    inputs: Mapping[str, Any]
    outs: Mapping[str, str]
    metrics: Mapping[str, Any]
    machine: str


def read_state(folder: Path) -> dict[str, Stage]:
    """The stages that dvc.lock of ``folder`` tells of, by name; none where there is no such file.

    Raises:
        UserError: it is not DVC's, or a metrics file is not JSON.
    """
    path = folder / LOCK
    if not path.is_file():
        return {}
    try:
        entries = parse_lock(path.read_text(encoding="utf-8"), LOCK)
        made = {out["path"] for entry in entries.values() for out in entry.get("outs", ())}
        return {name: _stage(folder, entry, made) for name, entry in entries.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{LOCK}: {MALFORMED}") from None


def forget(folder: Path, stages: Mapping[str, Stage]) -> None:
    """Removes dvc.lock and the outs that git keeps, so that only what runs can be found afterwards."""
    for path in (LOCK, *(path for stage in stages.values() for path in stage.outs)):
        if (folder / path).is_file():
            (folder / path).unlink()


def other_packages(requirements: Path) -> list[str]:
    """What differs between a requirements.txt and what is installed here: "numpy 2.4.6 (here 2.5.5)"."""
    differing = []
    for wanted in pins(requirements):
        try:
            here = version(wanted.name)
        except PackageNotFoundError:
            here = "none"
        if here == "none" or not wanted.specifier.contains(here, prereleases=True):
            differing.append(f"{wanted.name} {exact(wanted)} (here {here})")
    return differing


def _stage(folder: Path, entry: Mapping[str, Any], made: set[str]) -> Stage:
    deps = {dep["path"]: _md5(dep) for dep in entry.get("deps", ()) if dep["path"] not in made}
    outs = {out["path"]: _hash(folder / out["path"], _md5(out)) for out in entry.get("outs", ())}
    metrics: dict[str, Any] = {}
    for path in outs:
        if path.startswith(f"{METRICS}/") and path.endswith(".json") and (folder / path).is_file():
            metrics |= dict(leaves(json.loads((folder / path).read_text(encoding="utf-8"))))
    told = metrics.pop(MACHINE, "")
    inputs = {"cmd": entry["cmd"], **deps, "params": entry.get("params")}
    return Stage(inputs, outs, metrics, str(told))


def _md5(entry: Mapping[str, Any]) -> str:
    if not isinstance(entry["md5"], str):
        raise TypeError(entry["md5"])
    return entry["md5"]


def _hash(path: Path, told: str) -> str:
    """A commit's lock and its files may contradict each other; then it has no one hash that a run could give."""
    if not path.is_file():
        return told
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return found if found == told else f"{found}, in {LOCK} {told}"
