"""What a fresh run of a commit says about it: identical bytes, or which metrics moved and by how much.

A commit records a run of the pipeline in dvc.lock and in metrics/; a fresh run leaves the same two. Here both are read,
compared stage by stage, and the verdict is written as text and as JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from genbalance.experiments.dvc_lock import LOCK, MALFORMED, leaves, parse_lock
from genbalance.runtime.errors import UserError

METRICS = "metrics"
MACHINE = "machine"
IDENTICAL, WITHIN, BEYOND = "identical", "within tolerance", "beyond tolerance"
NOT_RUN, NOT_RECORDED = "did not run", "is not in the commit's dvc.lock"
WIDTHS, SHARE, LEAST, DEVIATIONS = 2.0, 0.5, 0.05, 4.0  # measured: docs/reproducibility.md
AS = {"fd_infinity": "fd_test", "fd_infinity_floor": "fd_test"}  # extrapolations, at most as sure as what they are of
Z_VALUES = ("copying_z", "copying_z_real")  # about zero, with the standard deviation 1 where there is nothing to find
TOLERANCE = (
    f"{WIDTHS:g} times the width of the metric's 95% interval here (ci95); where there is none, "
    f"{LEAST:g} + {SHARE:.0%} of the larger of both numbers, and {DEVIATIONS:g} for z values"
)
WORST = 5  # metrics that are printed of a stage, at most
MACHINES = {
    True: "the same kind as the commit's: all bytes have to be identical",
    False: "a different kind than the commit's: metrics have to be within the tolerance",
    None: "the commit does not record its own: all bytes have to be identical",
}


@dataclass(frozen=True)
class Stage:
    """One stage's entry in dvc.lock.

    Attributes:
        inputs: MD5 by path of its deps but those that other stages make; its command and params as they stand.
        outs: MD5 by path. Of an out that git keeps it is that of the file, with the one of dvc.lock behind it where
            that differs.
        metrics: numbers and texts by dotted key, out of its metrics file.
        machine: the kind that computed it; "" where the metrics do not name it.
    """

    inputs: Mapping[str, Any]
    outs: Mapping[str, str]
    metrics: Mapping[str, Any]
    machine: str


def read_state(folder: Path) -> dict[str, Stage]:
    """The stages in dvc.lock of ``folder``, by name; none where there is no such file.

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


def _stage(folder: Path, entry: Mapping[str, Any], made: set[str]) -> Stage:
    deps = {dep["path"]: _md5(dep) for dep in entry.get("deps", ()) if dep["path"] not in made}
    outs = {out["path"]: _hash(folder / out["path"], _md5(out)) for out in entry.get("outs", ())}
    metrics: dict[str, Any] = {}
    for path in outs:
        if path.startswith(f"{METRICS}/") and path.endswith(".json") and (folder / path).is_file():
            metrics |= dict(leaves(json.loads((folder / path).read_text(encoding="utf-8"))))
    machine = metrics.pop(MACHINE, "")
    inputs = {"cmd": entry["cmd"], **deps, "params": entry.get("params")}
    return Stage(inputs, outs, metrics, str(machine))


def _md5(entry: Mapping[str, Any]) -> str:
    if not isinstance(entry["md5"], str):
        raise TypeError(entry["md5"])
    return entry["md5"]


def _hash(path: Path, recorded: str) -> str:
    """The MD5 of an out. Where the file contradicts dvc.lock it is both, which no run can give."""
    if not path.is_file():
        return recorded
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return found if found == recorded else f"{found}, in {LOCK} {recorded}"


@dataclass(frozen=True)
class Moved:
    """A number or text of the metrics that is not the same: in the commit, and here; None where it is not there.

    ``tolerance`` is None for what no tolerance is for: texts, and what one side lacks.
    """

    name: str
    was: Any
    now: Any
    tolerance: float | None

    @property
    def difference(self) -> float | None:
        """Of two numbers."""
        return None if self.tolerance is None else float(self.now) - float(self.was)

    @property
    def within(self) -> bool:
        """Whether it moved by no more than the tolerance."""
        return self.share <= 1

    @property
    def share(self) -> float:
        """How far it moved, in tolerances."""
        if self.tolerance is None or self.difference is None:
            return float("inf")
        return abs(self.difference) / self.tolerance


@dataclass(frozen=True)
class StageVerdict:
    """One stage.

    Attributes:
        outs: how many both sides have.
        differing: the outs without equal hashes, each with that of the commit and that of the run; "" where not there.
        moved: numbers and texts of its metrics, those that moved farthest first.
        inputs: deps, command and params that dvc.lock of the commit records otherwise than they are in the commit: its
            outs were made by something else.
        word: IDENTICAL, WITHIN, BEYOND, NOT_RUN or NOT_RECORDED.
    """

    outs: int
    differing: Mapping[str, tuple[str, str]]
    moved: tuple[Moved, ...]
    inputs: tuple[str, ...]
    word: str


@dataclass(frozen=True)
class Verdict:
    """All stages by name, and the kinds of machine that the metrics name, in the commit and here: one each."""

    stages: Mapping[str, StageVerdict]
    machines: tuple[str, ...]
    here: tuple[str, ...]

    @property
    def same_machine(self) -> bool | None:
        """Whether the commit was computed on this kind of machine; None where that is not recorded."""
        return self.machines == self.here if self.machines and self.here else None

    @property
    def word(self) -> str:
        """The worst of the stages' words."""
        found = {stage.word for stage in self.stages.values()}
        return next((word for word in (NOT_RUN, NOT_RECORDED, BEYOND, WITHIN) if word in found), IDENTICAL)

    @property
    def holds(self) -> bool:
        """Whether the commit is reproduced: identical bytes on its kind of machine, else numbers in tolerance."""
        return self.word == IDENTICAL or (self.word == WITHIN and self.same_machine is False)


def compare(committed: Mapping[str, Stage], fresh: Mapping[str, Stage]) -> Verdict:
    """The verdict on what a commit records, by what a fresh run of it left."""
    names = dict.fromkeys((*committed, *fresh))
    stages = {name: _stage_verdict(committed.get(name), fresh.get(name)) for name in names}
    return Verdict(stages, _machines(committed), _machines(fresh))


def tolerance(name: str, was: Any, now: Any, fresh: Mapping[str, Any]) -> float | None:
    """How far another kind of machine may move a metric; None for what no machine may change.

    Rounding in another order makes another draw of a training. Two draws differ by more than the intervals of their
    samples, hence twice their width; the factor is measured. The interval is that of the fresh run: a commit cannot
    widen its own tolerance.

    Args:
        name: dotted; the ends of an interval (``ci95.<metric>.low``) are judged as the metric itself.
        was: in the commit.
        now: in the fresh run.
        fresh: all metrics of the stage there.
    """
    if not (_is_number(was) and _is_number(now)):
        return None
    metric = name.removeprefix("ci95.").removesuffix(".low").removesuffix(".high") if "ci95." in name else name
    low, high = (fresh.get(f"ci95.{AS.get(metric, metric)}.{end}") for end in ("low", "high"))
    if _is_number(low) and _is_number(high) and high > low:
        return float(WIDTHS * (high - low))
    return DEVIATIONS if metric in Z_VALUES else LEAST + SHARE * max(abs(was), abs(now))


def _stage_verdict(committed: Stage | None, fresh: Stage | None) -> StageVerdict:
    was, now = (stage.outs if stage else {} for stage in (committed, fresh))
    differing = {p: (was.get(p, ""), now.get(p, "")) for p in dict.fromkeys((*was, *now)) if was.get(p) != now.get(p)}
    outs = len(was.keys() & now.keys())
    if committed is None or fresh is None:
        return StageVerdict(outs, differing, (), (), NOT_RECORDED if committed is None else NOT_RUN)
    names = dict.fromkeys((*committed.metrics, *fresh.metrics))
    pairs = {name: (committed.metrics.get(name), fresh.metrics.get(name)) for name in names}
    moved = sorted(
        (Moved(name, a, b, tolerance(name, a, b, fresh.metrics)) for name, (a, b) in pairs.items() if a != b),
        key=lambda move: -move.share,
    )
    keys = dict.fromkeys((*committed.inputs, *fresh.inputs))
    inputs = tuple(key for key in keys if committed.inputs.get(key) != fresh.inputs.get(key))
    word = WITHIN if differing else IDENTICAL
    if any(not move.within for move in moved) or not all(all(hashes) for hashes in differing.values()):
        word = BEYOND
    return StageVerdict(outs, differing, tuple(moved), inputs, word)


def _machines(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage.machine for stage in stages.values() if stage.machine))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_text(verdict: Verdict, name: str, commit: str) -> str:
    """A line for each stage, below it what differs; then the machine, the tolerance and the verdict."""
    width = max(map(len, verdict.stages), default=0)
    lines = []
    for stage, found in verdict.stages.items():
        lines.append(f"{stage:{width}}  {found.word}{_counted(found)}")
        lines += [f"{'':{width}}    {line}" for line in _details(found)]
    same = verdict.same_machine
    lines += ["", f"machine: {'; '.join(verdict.here) or 'unknown'}", f"  {MACHINES[same]}"]
    if same is False:
        lines += [f"  of the commit: {'; '.join(verdict.machines)}"]
    if verdict.word in (WITHIN, BEYOND):
        lines += [f"tolerance: {TOLERANCE}"]
    return "\n".join([*lines, "", f"{name} ({commit[:8]}): {_conclusion(verdict)}"])


def as_json(verdict: Verdict, name: str, commit: str, packages: list[str]) -> dict[str, Any]:
    """All of it for a JSON file."""
    return {
        "revision": name,
        "commit": commit,
        "verdict": verdict.word,
        "holds": verdict.holds,
        "same_machine": verdict.same_machine,
        "machine": {"commit": verdict.machines, "here": verdict.here},
        "packages": packages,
        "tolerance": TOLERANCE,
        "stages": {stage: _stage_text(found) for stage, found in verdict.stages.items()},
    }


def _conclusion(verdict: Verdict) -> str:
    stages = f"{len(verdict.stages)} stage{'s' * (len(verdict.stages) != 1)}"
    if verdict.word == IDENTICAL:
        return f"identical: all outs of its {stages} have the same bytes"
    if verdict.holds:
        return "within tolerance, on another kind of machine than the commit's"
    bad = [name for name, found in verdict.stages.items() if found.word != IDENTICAL]
    if verdict.same_machine is False:
        bad = [name for name, found in verdict.stages.items() if found.word not in (IDENTICAL, WITHIN)]
        return f"not reproduced, {len(bad)} of {stages} beyond the tolerance: {', '.join(bad)}"
    return f"not reproduced, {len(bad)} of {stages} not identical: {', '.join(bad)}"


def _counted(found: StageVerdict) -> str:
    return f" ({found.outs} out{'s' * (found.outs != 1)})" if found.word == IDENTICAL else ""


def _details(found: StageVerdict) -> list[str]:
    lines = []
    for path, (was, now) in found.differing.items():
        contradicts = f"; git and dvc.lock contradict each other on it (md5 {was})" if "," in was else ""
        lines.append(f"{path}: {'differs' if was and now else 'only here' if now else 'not made here'}{contradicts}")
    lines += [_moved(move) for move in found.moved[:WORST]]
    if others := found.moved[WORST:]:
        lines.append(f"and {len(others)} more with smaller differences; --json FILE lists all")
    if found.inputs:
        lines.append(f"the commit's dvc.lock records other inputs: {', '.join(found.inputs)}")
    return lines


def _moved(move: Moved) -> str:
    if move.tolerance is None or move.difference is None:
        return f"{move.name}: {_shown(move.was)} in the commit, {_shown(move.now)} here"
    return (
        f"{move.name}: {move.was:g} in the commit, {move.now:g} here: a difference of {move.difference:+.3g}, "
        f"{'within' if move.within else 'beyond'} the tolerance of {move.tolerance:.3g}"
    )


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _stage_text(found: StageVerdict) -> Mapping[str, Any]:
    return {
        "verdict": found.word,
        "outs": found.outs,
        "differing": {
            path: {"commit": was or None, "here": now or None} for path, (was, now) in found.differing.items()
        },
        "moved": [
            {
                "name": move.name,
                "commit": move.was,
                "here": move.now,
                "difference": move.difference,
                "tolerance": move.tolerance,
                "within": move.within,
            }
            for move in found.moved
        ],
        "other_inputs": found.inputs,
    }
