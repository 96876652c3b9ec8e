"""Where the repository is."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path


def root() -> Path:
    """The absolute path of the repository that outlives the run.

    DVC runs queued experiments in a copy which it deletes afterwards; ``DVC_ROOT`` then names the original.
    Without DVC: git's top level, and without git the working directory.
    """
    if original := os.environ.get("DVC_ROOT"):
        return Path(original).resolve()
    return Path(git("rev-parse", "--show-toplevel").strip() or ".").resolve()


def git(*arguments: str, lines: Iterable[str] = ()) -> str:
    """What a git command prints; nothing where it fails or there is no git.

    Args:
        arguments: of the command.
        lines: what it reads.
    """
    text = "".join(f"{line}\n" for line in lines)
    try:
        return subprocess.run(
            ["git", *arguments], input=text, capture_output=True, encoding="utf-8", check=False
        ).stdout
    except FileNotFoundError:  # no git here: a version is then unknown, which is no reason to stop
        return ""
