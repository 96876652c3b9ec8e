"""dvc.lock, here and as git keeps it: what each stage was given and what it left, by commit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genbalance.errors import UserError
from genbalance.params.reader import parse_yaml
from genbalance.repository import committed, git

LOCK = "dvc.lock"
MALFORMED = "is not what DVC writes; run `dvc repro` and commit it"
HIDDEN = ("refs/exps/exec/", "refs/exps/stash", "refs/exps/celery/", "refs/exps/apply/", "refs/stash")  # DVC's own

Stages = Mapping[str, Mapping[str, Any]]  # the entry of each stage by its name, such as evaluate@gan


def parse_lock(text: str, name: str) -> Stages:
    """The entries of a dvc.lock; ``name`` is what a refusal calls it.

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


def lock_of(commit: str, name: str) -> Stages:
    """The entries of a commit's dvc.lock; ``name`` is what the commit was asked for by.

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
    """Each dvc.lock of the history, experiments among it, with the commits that hold it, the newest first. What is not
    readable as one is left out."""
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
    """The branches, tags and experiments that stand at each commit."""
    wanted = set(commits)
    named: dict[str, list[str]] = {commit: [] for commit in wanted}
    listed = git("for-each-ref", "--format=%(objectname) %(*objectname) %(refname)")
    for ref_object, tagged, ref in (line.split(" ", 2) for line in listed.splitlines()):
        commit = tagged or ref_object
        if commit in wanted and not ref.startswith(HIDDEN):
            named[commit].append(ref.split("/", 4)[-1] if ref.startswith("refs/exps/") else ref.split("/", 2)[-1])
    return named
