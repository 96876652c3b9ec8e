"""What went into a stage and what came out, by the hashes that DVC keeps in dvc.lock. DVC itself computes them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genbalance.locks import hashes

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

KEY = "dvc.key"
OUT = "dvc.out."


@dataclass(frozen=True)
class Lineage:
    """One stage's ends.

    Attributes:
        key: SHA-256 (64 hex digits) of command, deps and params; "" where there is no DVC, or no such stage.
    """

    key: str
    _stage: "PipelineStage | None"

    def deps(self) -> dict[str, str]:
        """The MD5 of each dep as it lay there when this was made, by its path; none of what was not there."""
        deps = self._stage.deps if self._stage else []
        return {dep.def_path: dep.hash_info.value for dep in deps if dep.hash_info}

    def outs(self) -> dict[str, str]:
        """The MD5 of each out as it lies there now, by its path, metrics and plots among them; none of what is not
        there."""
        outs = self._stage.outs if self._stage else []
        return {out.def_path: out.get_hash().value for out in outs if out.exists}


def lineage(stage: str) -> Lineage:
    """What goes into a stage of the working directory's dvc.yaml.

    Args:
        stage: its name, with ``@`` as ``_``.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.serialize import to_single_stage_lockfile

    try:
        found = [s for s in Repo().index.stages if s.addressing.replace("@", "_") == stage]
        if not found:
            return Lineage("", None)
        found[0].save_deps(allow_missing=True)
        entry = to_single_stage_lockfile(found[0], with_files=False)
    except DvcException:  # no repository of DVC, or a pipeline that it cannot read: a run is then without lineage
        return Lineage("", None)
    return Lineage(key_of(entry), found[0])


def key_of(entry: Mapping[str, Any]) -> str:
    """The key of a stage's entry in dvc.lock."""
    params = {key: value for values in entry.get("params", {}).values() for key, value in values.items()}
    told = {"cmd": entry["cmd"], "deps": hashes(entry.get("deps", ())), "params": _plain(params)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """1.0 as 1: DVC takes them for equal, and keeps in dvc.lock whichever came first."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
