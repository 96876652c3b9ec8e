"""What went into a stage and what came out, by the hashes that DVC keeps in dvc.lock. DVC itself computes them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from genbalance.locks import LOCK, hashes, lock_here

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

    def params(self) -> list[str]:
        """The keys and sections of params.yaml that the stage reads."""
        return [name for dep in (self._stage.params if self._stage else []) for name in dep.params]

    def deps(self) -> dict[str, str]:
        """The MD5 of each dep as it lay there when this was made, by its path; none of what was not there."""
        deps = self._stage.deps if self._stage else []
        return {dep.def_path: dep.hash_info.value for dep in deps if dep.hash_info}

    def outs(self) -> dict[str, str]:
        """The MD5 of each out as it lies there now, by its path, metrics and plots among them; none of what is not
        there."""
        outs = self._stage.outs if self._stage else []
        return {out.def_path: out.get_hash().value for out in outs if out.exists}

    def coming(self, command: Sequence[str]) -> list[str]:
        """The stages, with ``@`` as ``_``, that DVC may run after this one, whose outs are all there. None where only
        such are left as did not change, or as DVC restores from its run cache.

        Args:
            command: DVC's, as :func:`genbalance.tracking.processes.dvc_command` tells it.
        """
        from dvc.exceptions import DvcException

        asked = _asked(command)
        if self._stage is None or asked is None:
            return []
        try:
            later = _later(self._stage, asked)
            runs = later if asked.get("force") else _first_that_runs(later, not asked.get("no_run_cache"))
        except DvcException:  # as in `lineage`
            return []
        return [stage.addressing.replace("@", "_") for stage in runs]


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


def _asked(command: Sequence[str]) -> dict[str, Any] | None:
    """The options of a command of DVC's; None where it is none, and nobody can say which stages it runs."""
    from dvc.cli import DvcParserError, parse_args

    names = [PurePath(word).name.removesuffix(".exe") for word in command]
    try:
        arguments = list(command[names.index("dvc") + 1 :])
        return dict(vars(parse_args(arguments)))
    except (ValueError, SystemExit, DvcParserError):
        return None


def _later(stage: "PipelineStage", asked: Mapping[str, Any]) -> "list[PipelineStage]":
    """The stages that DVC looks at after ``stage``, in its order. A queue's worker does not tell which were asked for:
    all are taken to be."""
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    if asked.get("single_item"):
        return []
    targets = [] if asked.get("all_pipelines") else asked.get("targets") or ["dvc.yaml"]
    wanted = collect_stages(stage.repo, targets, asked.get("recursive", False), asked.get("glob", False))
    graph = get_active_graph(stage.repo.index.graph)
    plan = plan_repro(graph, wanted, asked.get("pipeline", False), asked.get("downstream", False))
    return plan[plan.index(stage) + 1 :] if stage in plan else []


def _first_that_runs(stages: "list[PipelineStage]", run_cache: bool) -> "list[PipelineStage]":
    """The first that DVC neither skips nor restores, and those after it; DVC's own question waits for its locks, which
    the running stage has."""
    from dvc.stage.serialize import to_single_stage_lockfile
    from dvc_data.hashfile.hash_info import HashInfo

    restored: dict[str, str] = {}  # the MD5 of what DVC is going to check out, by its path
    locked = (Path(LOCK).exists() and lock_here()) or {}
    for index, stage in enumerate(stages):
        stage.save_deps(allow_missing=True)
        for dep in stage.deps:
            if dep.def_path in restored:
                dep.hash_info = HashInfo("md5", restored[dep.def_path])
        before = locked.get(stage.addressing)
        if before and key_of(to_single_stage_lockfile(stage, with_files=False)) == key_of(before):
            outs = hashes(before["outs"])
            if all(out.exists and out.get_hash().value == outs.get(out.def_path) for out in stage.outs):
                continue
        entry = _kept(stage) if run_cache else None
        if entry is None:
            return stages[index:]
        restored |= hashes(entry["outs"])
    return []


def _kept(stage: "PipelineStage") -> Mapping[str, Any] | None:
    """What DVC's run cache has of a stage that is given what its deps say; None where it has nothing."""
    try:
        entry: Mapping[str, Any] | None = stage.repo.stage_cache._load(stage)
    except (AssertionError, OSError):  # a stage that it never keeps; a dep that is not there
        return None
    return entry


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
