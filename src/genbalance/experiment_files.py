"""Files of other commits, read without a checkout: pictures that git keeps, tables out of DVC's cache."""

from collections.abc import Sequence
from pathlib import Path

from genbalance.errors import UserError
from genbalance.locks import lock_of
from genbalance.repository import committed, root, top

PICTURES = ("train_gan_samples", "train_vae_samples")
TRAININGS = ("train_gan", "train_vae", "train_classifier")


def sample_grids(commit: str, names: Sequence[str] = PICTURES) -> dict[str, bytes]:
    """The PNG bytes of those of ``names`` that the commit has in metrics/, by name."""
    found = {name: committed(commit, f"metrics/{name}.png") for name in names}
    return {name: picture for name, picture in found.items() if picture is not None}


def curves(commit: str) -> dict[str, bytes]:
    """The CSV file of each of :data:`TRAININGS`, by name; those that DVC does not have are left out.

    They are looked for in the cache, and in the remote if the repository has one.
    """
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    found = {}
    try:
        for name in TRAININGS:
            try:
                found[name] = _cached(commit, f"artifacts/{name}/curves.csv")
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
    from dvc_data.index import DataIndexDirError

    outs = {out.get("path") for entry in lock_of(commit, name).values() for out in entry.get("outs", ())}
    if path not in outs:
        made = ", ".join(sorted(out for out in outs if out and Path(out).suffix == Path(path).suffix))
        raise UserError(f"{name}: made no {path}; allowed: {made or 'a revision whose pipeline was run'}")
    try:
        return _cached(commit, path)
    except (OSError, DataIndexDirError, DvcException):
        raise UserError(
            f"{name}: {path}: is not in DVC's cache; run `dvc fetch`, or the pipeline with that revision's params"
        ) from None


def _cached(commit: str, path: str) -> bytes:
    """DVC reads a commit from git's top level on, where the project is one of its "subrepos"."""
    from dvc.fs import DVCFileSystem

    whole = top(root())
    files = DVCFileSystem(repo=whole, rev=commit, subrepos=True)
    found: bytes = files.read_bytes((root().relative_to(whole) / path).as_posix())
    return found
