"""Which version of the code runs."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from genbalance.repository import NoRepositoryError, git, object_id, project

DECISIVE = ("params.yaml", "dvc.yaml", "src", "stages")  # what decides results, beside the installed packages


@dataclass(frozen=True)
class CodeVersion:
    """Which code runs.

    Attributes:
        commit: the 40 hex digits of HEAD, or "" outside git and before the first commit.
        changed: files that decide results and differ from that commit, by their paths in the project, sorted.
        content: SHA-256 (64 hex digits) of the working directory's parameters, pipeline and code.
    """

    commit: str
    changed: tuple[str, ...]
    content: str

    @property
    def dirty(self) -> bool:
        """Whether what runs is something else than what the commit holds."""
        return bool(self.changed)

    @property
    def short(self) -> str:
        """The commit as people write it: 8 digits, with "-dirty" where the files differ."""
        return (self.commit[:8] or "no-commit") + ("-dirty" if self.dirty else "")


def code_version() -> CodeVersion:
    """The version of the code in the working directory: inside a queued experiment that of its own copy.

    Raises:
        UserError: there is a repository in which git cannot work.
    """
    try:
        commit = object_id("HEAD")
        return CodeVersion(commit, _changed(commit), _content())
    except NoRepositoryError:  # the commit is then unknown, which is no reason to stop
        return CodeVersion("", (), _content())


def _changed(commit: str) -> tuple[str, ...]:
    """Compares contents. `git status` trusts an index which DVC, in an experiment's copy, leaves saying "unchanged"."""
    paths = ("--", *DECISIVE, "requirements.txt")
    tree = git("ls-tree", "-r", "-z", commit, *paths).split("\0") if commit else []
    held = {name: header.split()[2] for header, _, name in (entry.partition("\t") for entry in tree) if name}
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths).split("\0")
    folder = project()
    here = sorted({name for name in listed if name and (folder / name).is_file() and "__pycache__" not in name})
    present = dict(zip(here, git("hash-object", "--", *here).split(), strict=True))
    changed = (name for name in sorted(held | present) if held.get(name) != present.get(name))
    return tuple(os.fsencode(name).decode(errors="backslashreplace") for name in changed)


def _content() -> str:
    digest = hashlib.sha256()
    for name in DECISIVE:
        top = Path(name)
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(
                    f"{path.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode(
                        errors="surrogateescape"
                    )
                )
    return digest.hexdigest()
