"""Where the project is, and git's answers about it."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from genbalance.runtime.errors import UserError

# Variables by which git passes the repository at hand to its children, such as hooks (`git rev-parse
# --local-env-vars`): with them, git reads and writes that repository wherever it is called. What `git -c` sets stays,
# as git itself lets it pass into a submodule.
LOCAL_VARIABLES = frozenset(
    f"GIT_{name}"
    for name in (
        *("ALTERNATE_OBJECT_DIRECTORIES", "COMMON_DIR", "CONFIG", "DIR", "GRAFT_FILE", "IMPLICIT_WORK_TREE"),
        *("INDEX_FILE", "INTERNAL_SUPER_PREFIX", "NO_REPLACE_OBJECTS", "OBJECT_DIRECTORY", "PREFIX"),
        *("REPLACE_REF_BASE", "SHALLOW_FILE", "WORK_TREE"),
    )
)
OUTSIDE = "fatal: not a git repository (or any"  # … of the parent directories, or parent up to mount point
ADVICE = "git config --global --add safe.directory "


class NoRepositoryError(UserError):
    """There is no git here, or no repository."""


def project() -> Path:
    """The absolute path of the project that the working directory lies in, be it a copy of DVC's: the nearest folder
    with ``.dvc``, also where it is a folder of a larger git repository. Without DVC it is git's top level, and without
    git the working directory."""
    here = Path.cwd()
    return next((at for at in (here, *here.parents) if (at / ".dvc").is_dir() or (at / ".git").exists()), here)


def root() -> Path:
    """The absolute path of the project that outlives the run.

    DVC runs queued experiments in a copy which it deletes afterwards; ``DVC_ROOT`` then names the original. Elsewhere
    it is :func:`project`.
    """
    if original := os.environ.get("DVC_ROOT"):
        return Path(original).resolve()
    return project()


def top(folder: Path) -> Path:
    """The absolute path of the working tree of git that a project's folder lies in, which may hold other projects.

    Raises:
        UserError: as :func:`git`.
    """
    return Path(git("rev-parse", "--show-toplevel", folder=folder).removesuffix("\n")).resolve()


def git(*arguments: str, lines: Iterable[str] = (), folder: Path | None = None) -> str:
    """What a git command prints. Bytes that are no UTF-8 come as in Python's file names, as surrogates.

    Paths are the project's, as in ``HEAD:./params.yaml``, except in what ``git status`` prints.

    Args:
        arguments: of the command.
        lines: what it reads.
        folder: where it works; the project without one.

    Raises:
        NoRepositoryError: git is not installed, or the folder lies in no repository.
        UserError: git failed; the text is its reason.
    """
    text = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    return _done(arguments, text, folder).stdout.decode(errors="surrogateescape")


def object_id(name: str) -> str:
    """The 40 hex digits of the object that ``name`` stands for, such as ``HEAD`` or ``main:./params.yaml``; "" where
    there is none.

    Raises:
        UserError: as :func:`git`.
    """
    printed = _done(("rev-parse", "--verify", "--quiet", name), answers=(0, 1)).stdout.decode().strip()
    return printed if re.fullmatch("[0-9a-f]+", printed) else ""  # git prints a range, too, as it fails


def committed(commit: str, path: str) -> bytes | None:
    """A file of the project, as a commit has it; None where it has none.

    Args:
        commit: or any other revision.
        path: from the project's folder.

    Raises:
        UserError: as :func:`git`.
    """
    blob = object_id(f"{commit}:./{path}")
    return _done(("cat-file", "blob", blob)).stdout if blob else None


def environment() -> dict[str, str]:
    """The environment, without what leads git to another repository than the one that it is called in."""
    return {name: value for name, value in os.environ.items() if name not in LOCAL_VARIABLES}


def _done(
    arguments: tuple[str, ...], text: bytes = b"", folder: Path | None = None, answers: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[bytes]:
    """A git command that ended with one of the exit codes ``answers``."""
    place, english = folder or project(), environment() | {"LANGUAGE": "C"}
    try:
        done = subprocess.run(["git", *arguments], cwd=place, env=english, input=text, capture_output=True, check=False)
    except FileNotFoundError:
        raise NoRepositoryError("git: is not installed, or not on the PATH") from None
    if done.returncode in answers:
        return done
    message = (done.stderr or done.stdout).decode(errors="backslashreplace")
    if message.startswith(OUTSIDE):
        raise NoRepositoryError(f"{place}: is in no git repository")
    raise UserError(f"git {arguments[0]}: {_reason(message) or f'exit code {done.returncode}'}")


def _reason(message: str) -> str:
    """The innermost reason in what git writes on stderr, with the command that it advises against other owners."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    failures = [line.split(": ", 1)[1] for line in lines if line.startswith(("fatal: ", "error: "))]
    advice = [f"; if you trust it: `{line}`" for line in lines if line.startswith(ADVICE)]
    return "".join([*(failures or lines)[:1], *advice[:1]])
