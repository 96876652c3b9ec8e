"""What went into a stage and what came out, by the hashes that DVC keeps in dvc.lock; and the runs with such hashes.

DVC itself computes the hashes. Each run has the key of its stage's inputs and the hash of each out as tags, so that a
commit leads to its runs, and a run to the commits that hold its outs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from genbalance.experiments.dvc_lock import LOCK, hashes, lock_here
from genbalance.params import Params
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.tracking.energy import COUNTED, spent
from genbalance.tracking.provenance import PARENT
from genbalance.tracking.store import Store

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

PIPELINE = Path("dvc.yaml")
KEY = "dvc.key"
OUT = "dvc.out."
RESTORED = "genbalance.restored"


@dataclass(frozen=True)
class Lineage:
    """The inputs and outs of one stage.

    Attributes:
        key: SHA-256 (64 hex digits) of command, deps and params; "" where there is no DVC, or no such stage.
    """

    key: str
    _stage: "PipelineStage | None"
    _inputs: Mapping[str, Any]  # what the key is of, each by its name
    _pipeline: bytes = b""  # dvc.yaml as it was when this was made

    def changed(self) -> list[str]:
        """The inputs that are no longer what they were when this was made: keys of params.yaml, paths of deps, cmd."""
        if self._stage is None:
            return []
        from dvc.exceptions import DvcException

        now: Mapping[str, Any] = {}
        if _pipeline() != self._pipeline:
            now = lineage(self._stage.addressing.replace("@", "_"))._inputs
        else:
            with suppress(DvcException):  # as in `lineage`
                now = _inputs_of(_entry(self._stage))
        return [name for name in {**self._inputs, **now} if self._inputs.get(name) != now.get(name)]

    def params(self) -> list[str]:
        """The keys and sections of params.yaml that the stage reads."""
        return [name for dep in (self._stage.params if self._stage else []) for name in dep.params]

    def deps(self) -> dict[str, str]:
        """The MD5 of each dep as it was when this was made, by its path; none of what did not exist."""
        deps = self._stage.deps if self._stage else []
        return {dep.def_path: dep.hash_info.value for dep in deps if dep.hash_info}

    def outs(self) -> dict[str, str]:
        """The MD5 of each out as it is now, by its path, metrics and plots among them; none of what does not exist."""
        outs = self._stage.outs if self._stage else []
        return {out.def_path: out.get_hash().value for out in outs if out.exists}

    def remaining(self, command: Sequence[str], params: Params) -> list[str]:
        """The stages, with ``@`` as ``_``, that DVC may run after this one, whose outs all exist, but for those of
        families that are off. None where all that is left did not change, or is restored by DVC from its run cache.

        Args:
            command: DVC's, as :func:`genbalance.tracking.processes.dvc_command` returns it.
            params: which say what is off.
        """
        from dvc.exceptions import DvcException

        options = _options(command)
        if self._stage is None or options is None:
            return []
        try:
            later = [stage for stage in _later(self._stage, options) if not params.family_off(stage.addressing)]
            runs = later if options.get("force") else _first_that_runs(later, not options.get("no_run_cache"))
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

    try:
        pipeline = _pipeline()
        found = [s for s in Repo().index.stages if s.addressing.replace("@", "_") == stage]
        if not found:
            return Lineage("", None, {})
        entry = _entry(found[0])
    except DvcException:  # no repository of DVC, or a pipeline that it cannot read: a run is then without lineage
        return Lineage("", None, {})
    return Lineage(key_of(entry), found[0], _inputs_of(entry), pipeline)


def planned(targets: Sequence[str]) -> list[str]:
    """The stages of the working directory's dvc.yaml, with ``@`` as ``_``, that `dvc repro` goes through for these
    targets, in its order.

    Raises:
        UserError: one is no stage and no out; or DVC cannot read the pipeline.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    try:
        repo = Repo()
        wanted = collect_stages(repo, targets)
        plan = plan_repro(get_active_graph(repo.index.graph), wanted)
    except DvcException as error:
        raise UserError(in_a_line(str(error))) from None
    return [stage.addressing.replace("@", "_") for stage in plan]


def key_of(entry: Mapping[str, Any]) -> str:
    """The key of a stage's entry in dvc.lock."""
    inputs = {"cmd": entry["cmd"], "deps": hashes(entry.get("deps", ())), "params": _params_of(entry)}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _pipeline() -> bytes:
    """What dvc.yaml holds: while it holds the same, the stage that was read from it need not be read again, for which
    DVC takes half a second."""
    return PIPELINE.read_bytes() if PIPELINE.exists() else b""


def _entry(stage: "PipelineStage") -> dict[str, Any]:
    """A stage's entry in dvc.lock with its inputs as they are now."""
    from dvc.stage.serialize import to_single_stage_lockfile
    from dvc_data.hashfile.hash_info import HashInfo

    for dep in stage.deps:
        if not dep.exists:
            dep.hash_info = HashInfo()  # and not that of its last time
    stage.save_deps(allow_missing=True)
    entry: dict[str, Any] = to_single_stage_lockfile(stage, with_files=False)
    return entry


def _inputs_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a stage's entry that say what goes into it, a section of params by its keys."""
    params = {
        f"{name}.{key}" if key else name: value
        for name, section in _params_of(entry).items()
        for key, value in (section if isinstance(section, Mapping) else {"": section}).items()
    }
    return {"cmd": entry["cmd"], **params, **hashes(entry.get("deps", ()))}


def _params_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for values in entry.get("params", {}).values() for key, value in values.items()}


def _plain(value: Any) -> Any:
    """1.0 as 1: DVC takes them for equal, and keeps in dvc.lock whichever came first."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class StageRun:
    """A stage's run in a store.

    Attributes:
        run_id: MLflow's.
        pipeline: the name of its parent.
        status: FINISHED and so on.
        started: when, UTC.
        same_inputs: whether its inputs were those of the commit's dvc.lock; if not, other ones led to the same bytes.
        restored: whether it stands for a stage that DVC restored from its cache.
        cost: Wh and g CO₂ by the names of their metrics; empty where it measured none.
        counted: what is in that, in words.
        seconds: that its process took, of one that was resumed the last; None where it has not ended well.
    """

    run_id: str
    pipeline: str
    status: str
    started: datetime
    same_inputs: bool
    restored: bool
    cost: Mapping[str, float]
    counted: str
    seconds: float | None = None


def runs_behind(store: Store, entry: Mapping[str, Any]) -> list[StageRun]:
    """The runs whose outs have the hashes of a stage's entry in dvc.lock, the newest first."""
    wanted = {OUT + path: md5 for path, md5 in hashes(entry["outs"]).items()}
    tag, md5 = next(iter(wanted.items()))
    key, found = key_of(entry), []
    for run in store.search(f"tags.`{tag}` = '{md5}'"):
        tags = run.data.tags
        if not wanted.items() <= tags.items():
            continue
        parent = store.search(f"attributes.run_id = '{tags.get(PARENT, '')}'")
        found.append(
            StageRun(
                run_id=run.info.run_id,
                pipeline=parent[0].info.run_name if parent else "",
                status=run.info.status,
                started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
                same_inputs=tags.get(KEY) == key,
                restored=tags.get(RESTORED) == "true",
                cost=spent(run.data.metrics),
                counted=tags.get(COUNTED, ""),
                seconds=run.data.metrics.get("duration_s"),
            )
        )
    return found


def outs_of(store: Store, run_id: str) -> dict[str, str]:
    """The hash of each out of a run, by path; of a pipeline's run, those of all its stages.

    Raises:
        UserError: there is no such run, or it left none.
    """
    found = store.search(f"attributes.run_id = '{run_id}'") if run_id.isalnum() else []
    if not found:
        raise UserError(f"{run_id!r}: is no run of the experiment in {store.address}; `genbalance runs` lists ids")
    runs = [*found, *store.search(f"tags.`{PARENT}` = '{run_id}'")]
    outs: dict[str, str] = {}
    for run in runs[::-1]:  # the newest of a stage counts
        outs |= {tag.removeprefix(OUT): md5 for tag, md5 in run.data.tags.items() if tag.startswith(OUT)}
    if not outs:
        raise UserError(f"{run_id}: left no outs; it is {found[0].info.status}")
    return outs


def _options(command: Sequence[str]) -> dict[str, Any] | None:
    """The options of a command of DVC's; None where it is none, and which stages it runs is not known."""
    from dvc.cli import DvcParserError, parse_args

    names = [PurePath(word).name.removesuffix(".exe") for word in command]
    try:
        arguments = list(command[names.index("dvc") + 1 :])
        return dict(vars(parse_args(arguments)))
    except (ValueError, SystemExit, DvcParserError):
        return None


def _later(stage: "PipelineStage", options: Mapping[str, Any]) -> "list[PipelineStage]":
    """The stages that DVC looks at after ``stage``, in its order. The command of a queue's worker does not name its
    targets: all stages are taken for them."""
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    if options.get("single_item"):
        return []
    targets = [] if options.get("all_pipelines") else options.get("targets") or ["dvc.yaml"]
    wanted = collect_stages(stage.repo, targets, options.get("recursive", False), options.get("glob", False))
    graph = get_active_graph(stage.repo.index.graph)
    plan = plan_repro(graph, wanted, options.get("pipeline", False), options.get("downstream", False))
    return plan[plan.index(stage) + 1 :] if stage in plan else []


def _first_that_runs(stages: "list[PipelineStage]", run_cache: bool) -> "list[PipelineStage]":
    """The first that DVC neither skips nor restores, and those after it; DVC's own `status` waits for its locks, which
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
        entry = _cached(stage) if run_cache else None
        if entry is None:
            return stages[index:]
        restored |= hashes(entry["outs"])
    return []


def _cached(stage: "PipelineStage") -> Mapping[str, Any] | None:
    """The entry that DVC's run cache has of a stage with its present deps; None where it has none."""
    try:
        entry: Mapping[str, Any] | None = stage.repo.stage_cache._load(stage)
    except (AssertionError, OSError):  # a stage that it never keeps; a dep that does not exist
        return None
    return entry
