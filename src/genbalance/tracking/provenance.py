"""What a run is tagged with: which code, on what."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version

from genbalance.params import Params
from genbalance.tracking.code import CodeVersion

PACKAGES = ("torch", "mlflow", "dvc")


def code_tags(code: CodeVersion) -> dict[str, str]:
    """Which code ran, and for which experiment of DVC's; what is not known is left out."""
    tags = {
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
        "mlflow.source.type": "LOCAL",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "env.python": platform.python_version(),
        "env.platform": platform.platform(),
        "env.cpus": str(os.cpu_count()),
        "env.threads": str(params.compute.threads),
        **{f"env.{name}": version(name) for name in PACKAGES},
    }
