"""dvc.lock, in the working directory and as git keeps it: the inputs and outs of each stage, by commit, and which outs
are stale."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genbalance.params import PARAMS_FILE, parse_yaml
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import committed, git

LOCK = "dvc.lock"
MALFORMED = "is not what DVC writes; run `dvc repro` and commit it"
HIDDEN = ("refs/exps/exec/", "refs/exps/stash", "refs/exps/celery/", "refs/exps/apply/", "refs/stash")  # DVC's own

Stages = Mapping[str, Mapping[str, Any]]  # the entry of each stage by its name, such as evaluate@gan


def parse_lock(text: str, name: str) -> Stages:
    """The entries of a dvc.lock; ``name`` is its name in an error.

    Raises:
        UserError: it is none.
    """
    values = parse_yaml(text, name)
    stages = values.get("stages") if isinstance(values, dict) else None
    if not isinstance(stages, dict):
        raise UserError(f"{name}: {MALFORMED}")
    return stages


def hashes(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """MD5 by path, of deps or outs in dvc.lock."""
    return {entry["path"]: entry.get("md5", "") for entry in entries}


def is_off(entry: Mapping[str, Any]) -> bool:
    """Whether a stage's family was off, so that its outs are empty and nobody logged a run."""
    switches = entry.get("params", {}).get(PARAMS_FILE.name, {}).items()
    return any(key.startswith("families.") and value is False for key, value in switches)


def lock_of(commit: str, name: str) -> Stages:
    """The entries of a commit's dvc.lock; ``name`` is the commit's in an error.

    Raises:
        UserError: there is none.
    """
    return parse_lock((committed(commit, LOCK) or b"").decode(errors="replace"), f"{name}: {LOCK}")


def lock_here() -> Stages:
    """The entries of the working directory's dvc.lock.

    Raises:
        UserError: there is none.
    """
    try:
        return parse_lock(Path(LOCK).read_text(encoding="utf-8"), LOCK)
    except OSError as error:
        raise UserError(f"{LOCK}: cannot be read: {error.strerror}; run `dvc repro` at the repository's root") from None


def every_lock() -> Iterator[tuple[list[str], Stages]]:
    """Each dvc.lock of the history, with those of experiments, and the commits that hold it, the newest first; an
    unreadable one is left out."""
    commits = git("rev-list", "--all").split()
    found = git("cat-file", "--batch-check=%(objectname)", lines=(f"{commit}:./{LOCK}" for commit in commits))
    holding: dict[str, list[str]] = {}
    for commit, blob in zip(commits, found.splitlines(), strict=True):
        if re.fullmatch("[0-9a-f]+", blob):  # else "… missing"
            holding.setdefault(blob, []).append(commit)
    for blob, of in holding.items():
        try:
            yield of, parse_lock(git("cat-file", "blob", blob), blob)
        except UserError:
            continue


def names_of(commits: Iterable[str]) -> dict[str, list[str]]:
    """The branches, tags and experiments that name each commit."""
    wanted = set(commits)
    named: dict[str, list[str]] = {commit: [] for commit in wanted}
    listed = git("for-each-ref", "--format=%(objectname) %(*objectname) %(refname)")
    for ref_object, tagged, ref in (line.split(" ", 2) for line in listed.splitlines()):
        commit = tagged or ref_object
        if commit in wanted and not ref.startswith(HIDDEN):
            named[commit].append(ref.split("/", 4)[-1] if ref.startswith("refs/exps/") else ref.split("/", 2)[-1])
    return named


def stale_outputs(stages: Stages, params: Mapping[str, Any], name: str) -> set[str]:
    """The paths of the outs that were made with other params than ``params``, or from stale outs, or from others than
    those of the commit. They remain of an earlier run where only a part of the pipeline ran: `dvc exp run -S seed=4
    evaluate@gan` keeps the VAE's metrics of the commit that it starts from. (The code is not compared here: git's ids
    of it are, in :class:`genbalance.experiments.runs.Run`.)

    Args:
        stages: of the commit's dvc.lock.
        params: of its params.yaml, by dotted key.
        name: of the commit, for an error.

    Raises:
        UserError: dvc.lock is not what DVC writes.
    """
    try:
        made = {out["path"]: out.get("md5") for entry in stages.values() for out in entry.get("outs", ())}
        stale: set[str] = set()
        while True:
            found = {
                out["path"]
                for entry in stages.values()
                if _has_other_params(entry, params) or any(_is_stale(dep, made, stale) for dep in entry.get("deps", ()))
                for out in entry.get("outs", ())
            }
            if found == stale:
                return stale
            stale = found
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{name}: {LOCK}: {MALFORMED}") from None


def _has_other_params(entry: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    recorded = entry.get("params", {}).get(PARAMS_FILE.name, {})
    own = {key: value for key, value in params.items() if any(f"{key}.".startswith(f"{part}.") for part in recorded)}
    return dict(leaves(recorded)) != own


def _is_stale(dep: Mapping[str, Any], made: Mapping[str, Any], stale: set[str]) -> bool:
    path = dep["path"]
    return path in stale or made.get(path, dep.get("md5")) != dep.get("md5")


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, each with its dotted key, as DVC and `-S` spell it."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, values
