"""What a run records of its origin: the version of the code, command and environment as tags, and a few parameters."""

import getpass
import hashlib
import os
import platform
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import genbalance
from genbalance.families.registry import known
from genbalance.params import INERT, Params, read_yaml
from genbalance.runtime.repository import NoRepositoryError, git, object_id, project

STAGE = "genbalance.stage"  # of a stage's run: which one
ORIGIN = "genbalance.origin"  # of a copy: the id of the run or model, in the store where it was made
PARENT = "mlflow.parentRunId"  # of a stage's run: the pipeline's; the UI folds them below it
DEFAULTS = Path(genbalance.__file__).parent / "reporting" / "defaults.yaml"  # params.yaml as it is released
PACKAGES = ("torch", "mlflow", "dvc")
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


def code_tags(code: CodeVersion) -> dict[str, str]:
    """The code, the user, the command and DVC's experiment of a run; what is not known is left out."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": _command(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code.commit,
        "git.dirty": str(code.dirty).lower(),
        "git.changed": " ".join(code.changed)[:5000],
        "dvc.exp.name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.exp.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {name: value for name, value in tags.items() if value}


def environment_tags(params: Params) -> dict[str, str]:
    """The program of a stage, when it started and on what machine."""
    return {
        "dvc.stage": os.environ.get("DVC_STAGE", "none: started by hand"),
        "mlflow.source.name": sys.argv[0],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "env.python": platform.python_version(),
        "env.platform": platform.platform(),
        "env.cpus": str(os.cpu_count()),
        "env.threads": str(params.compute.threads),
        **{f"env.{name}": version(name) for name in PACKAGES},
    }


def shown(values: Mapping[str, Any], declared: Collection[str] = ()) -> dict[str, str]:
    """The parameters that the run of a stage shows: the coefficients, the seed, and what differs from the defaults.
    MLflow prints all of them above each image, so few leave it room.

    Args:
        values: parameters by dotted key.
        declared: the keys and sections that the stage reads, as dvc.yaml lists them; empty: all.
    """
    defaults = read_yaml(DEFAULTS)
    always = {"seed"}.union(*(family.coefficients for family in known().values()))
    return {
        key: str(value)
        for key, value in values.items()
        if (not declared or key in declared or key.partition(".")[0] in declared)
        and not key.startswith(INERT)
        and (key in always or value != defaults.get(key))
    }


def _user() -> str:
    """The name of the account; "" for one without a name."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""


def _command() -> str:
    """What was typed to start the pipeline, a stage of it or a command of ours."""
    if os.environ.get("DVC_EXP_NAME"):
        return "dvc exp run"
    if os.environ.get("DVC_STAGE"):
        return "dvc repro"
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.name
    return " ".join([name, *sys.argv[1:2]])
