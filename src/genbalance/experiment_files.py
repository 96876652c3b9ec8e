"""Files of other commits, read without a checkout: pictures that git keeps, tables out of DVC's cache."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from genbalance.errors import UserError
from genbalance.locks import lock_of
from genbalance.repository import git, root

PICTURES = ("train_gan_samples", "train_vae_samples")
TRAININGS = ("train_gan", "train_vae", "train_classifier")


def sample_grids(commit: str, names: Sequence[str] = PICTURES) -> dict[str, bytes]:
    """The PNG bytes of those of ``names`` that the commit has in metrics/, by name."""
    listed = git("ls-tree", "-z", "--full-tree", "--name-only", commit, "metrics/").split("\0")
    return {name: _bytes(commit, f"metrics/{name}.png") for name in names if f"metrics/{name}.png" in listed}


def curves(commit: str) -> dict[str, bytes]:
    """The CSV file of each of :data:`TRAININGS`, by name; those that DVC does not have are left out.

    They are looked for in the cache, and in the remote if the repository has one.
    """
    from dvc.exceptions import DvcException
    from dvc.fs import DVCFileSystem
    from dvc_data.index import DataIndexDirError

    found = {}
    try:
        files = DVCFileSystem(repo=root(), rev=commit)
        for name in TRAININGS:
            try:
                found[name] = files.read_bytes(f"artifacts/{name}/curves.csv")
            except (OSError, DataIndexDirError):  # the file, or the list of its folder, is nowhere
                continue
    except DvcException:  # no repository of DVC, or a pipeline that it cannot read
        pass
    return found


def cached_out(name: str, commit: str, path: str) -> bytes:
    """The bytes of a file that the commit's pipeline made, out of DVC's cache or remote.

    Args:
        name: what a refusal calls the commit.
        commit: 40 hex digits.
        path: of the file, from the root.

    Raises:
        UserError: the commit's pipeline made no such file, or DVC does not have it.
    """
    from dvc.exceptions import DvcException
    from dvc.fs import DVCFileSystem
    from dvc_data.index import DataIndexDirError

    outs = {out.get("path") for entry in lock_of(commit, name).values() for out in entry.get("outs", ())}
    if path not in outs:
        made = ", ".join(sorted(out for out in outs if out and Path(out).suffix == Path(path).suffix))
        raise UserError(f"{name}: made no {path}; allowed: {made or 'a revision whose pipeline was run'}")
    try:
        found: bytes = DVCFileSystem(repo=root(), rev=commit).read_bytes(path)
    except (OSError, DataIndexDirError, DvcException):
        raise UserError(
            f"{name}: {path}: is not in DVC's cache; run `dvc fetch`, or the pipeline with that revision's params"
        ) from None
    return found


def _bytes(commit: str, path: str) -> bytes:
    return subprocess.run(["git", "cat-file", "blob", f"{commit}:{path}"], capture_output=True, check=True).stdout
