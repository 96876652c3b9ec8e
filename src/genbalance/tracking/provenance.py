"""What a run is tagged with: which code, on what."""

import getpass
import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from genbalance.params import Params
from genbalance.tracking.code import CodeVersion

PACKAGES = ("torch", "mlflow", "dvc")


def code_tags(code: CodeVersion) -> dict[str, str]:
    """Which code ran, who ran it by which command, and for which experiment of DVC's; what is not known is left out."""
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
    """Which program ran, when and on what."""
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


def _user() -> str:
    """The name of the account, as MLflow tells it; "" for one without a name."""
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
