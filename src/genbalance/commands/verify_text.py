"""A verification as plain text and as JSON."""

from collections.abc import Mapping
from typing import Any

from genbalance.commands.verify_verdict import BEYOND, IDENTICAL, TOLERANCE, WITHIN, Moved, StageVerdict, Verdict

WORST = 5  # metrics that are told of a stage, at most
MACHINES = {
    True: "the same kind as the commit's: all bytes have to be identical",
    False: "a different kind than the commit's: metrics have to be within the tolerance",
    None: "the commit does not record its own: all bytes have to be identical",
}


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
    """All of it in JSON's words."""
    return {
        "revision": name,
        "commit": commit,
        "verdict": verdict.word,
        "holds": verdict.holds,
        "same_machine": verdict.same_machine,
        "machine": {"commit": verdict.machines, "here": verdict.here},
        "packages": packages,
        "tolerance": TOLERANCE,
        "stages": {stage: _stage(found) for stage, found in verdict.stages.items()},
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
        return f"{move.name}: {_told(move.was)} in the commit, {_told(move.now)} here"
    return (
        f"{move.name}: {move.was:g} in the commit, {move.now:g} here: a difference of {move.difference:+.3g}, "
        f"{'within' if move.within else 'beyond'} the tolerance of {move.tolerance:.3g}"
    )


def _told(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _stage(found: StageVerdict) -> Mapping[str, Any]:
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
