"""Whether the results here are the commit's, and a commit of them on a branch where another kind of machine made
them."""

from collections.abc import Mapping
from typing import Any

from genbalance.experiments.dvc_lock import LOCK, Stages, hashes, lock_here, lock_of
from genbalance.experiments.runs import read_machine
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import git, object_id

BRANCH = "baseline"
RESULTS = (LOCK, "metrics")  # what git keeps of a run


def status() -> str:
    """Two lines, or one where the results are the commit's.

    Raises:
        UserError: there is no dvc.lock here, or none in HEAD.
    """
    head, here = object_id("HEAD")[:8], lock_here()
    other, changed = _differing(here, lock_of("HEAD", "HEAD"))
    if other:
        machine = read_machine("HEAD") or "not recorded"
        return (
            f"{len(other)} of {len(here)} stages have other results here than in commit {head} ({machine}).\n"
            "`make baseline` commits this machine's results on a new branch, as a starting point for experiments."
        )
    if changed:
        return f"Results differ from commit {head}, since params, data or code do: {', '.join(changed)}."
    return f"The results are those of commit {head}, byte for byte."


def baseline() -> str:
    """Commits dvc.lock and metrics/ on a branch of their own, and says on which.

    Raises:
        UserError: the results are the commit's, something else is changed, or git refuses.
    """
    head, here = object_id("HEAD")[:8], lock_here()
    other, _ = _differing(here, lock_of("HEAD", "HEAD"))
    if not other:
        raise UserError(f"the results are those of commit {head}; there is nothing to commit as a baseline")
    listed = git("diff", "--name-only", "--relative", "-z", "HEAD").split("\0")
    if changed := [path for path in listed if path and not path.startswith(RESULTS)]:
        raise UserError(
            f"{', '.join(changed)}: differs from commit {head}; a baseline needs the commit's code and params: commit "
            "the change, or restore it and run `make repro`"
        )
    try:
        git("var", "GIT_COMMITTER_IDENT")
    except UserError:
        raise UserError(
            "git does not know who commits: set `git config user.name` and `git config user.email`"
        ) from None
    branch = git("branch", "--show-current").strip()
    if not branch.startswith(BRANCH):
        taken = git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        names = (BRANCH, *(f"{BRANCH}-{number}" for number in range(2, len(taken) + 3)))
        branch = next(name for name in names if name not in taken)
        git("switch", "--quiet", "--create", branch)
    git("add", "--", *RESULTS)
    git("commit", "--quiet", "--message", f"Results of {head} on another kind of machine", "--", *RESULTS)
    return f"Committed on the branch {branch}: experiments now start from it."


def _differing(here: Stages, committed: Stages) -> tuple[list[str], list[str]]:
    """The stages whose inputs are the commit's and whose outs are not, and those whose inputs differ, be it by a stage
    before them."""
    made = {out["path"]: name for name, entry in here.items() for out in entry.get("outs", ())}

    def inputs(entry: Mapping[str, Any]) -> tuple[Any, ...]:
        deps = {path: md5 for path, md5 in hashes(entry.get("deps", ())).items() if path not in made}
        return entry["cmd"], deps, entry.get("params")

    changed = [name for name, entry in here.items() if inputs(entry) != inputs(committed.get(name, {"cmd": None}))]
    while more := [
        name
        for name, entry in here.items()
        if name not in changed and any(made.get(dep["path"]) in changed for dep in entry.get("deps", ()))
    ]:
        changed += more
    other = [
        name
        for name, entry in here.items()
        if name not in changed and hashes(entry["outs"]) != hashes(committed[name]["outs"])
    ]
    return other, changed
