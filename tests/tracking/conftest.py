"""A repository with an MLflow store of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from genbalance.params import Params, read_params

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tables and nothing in them: making those takes MLflow seconds, a copy takes none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def empty_repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed repository, the working directory of the test; no store yet."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "repo"
    (path / "src").mkdir(parents=True)
    (path / "src/code.py").write_text("")
    shutil.copy(PARAMS, path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=path, check=True)
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def repo(empty_repo: Path, tables: Path) -> Path:
    """The same, with a store that has its tables."""
    shutil.copy(tables, empty_repo)
    return empty_repo


@pytest.fixture
def params() -> Params:
    return read_params(PARAMS)
