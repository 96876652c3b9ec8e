"""A repository with an MLflow store of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from committed import PARAMS

from genbalance.params import Params, read_params
from genbalance.tracking.ui import SERVER_SETTINGS

PROFILE = {"channels": 1, "height": 28, "width": 28, "classes": 10, "mean": 0.13, "std": 0.31}


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


class Server:
    """A real MLflow server on loopback, which can be killed and started again at the same address."""

    def __init__(self, folder: Path, tables: Path) -> None:
        self.folder = folder
        (folder / "mlflow.db").write_bytes(tables.read_bytes())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "workers": "1",
            "backend-store-uri": f"sqlite:///{self.folder / 'mlflow.db'}",
            "artifacts-destination": str(self.folder / "kept"),
        }
        command = [sys.executable, "-m", "mlflow", "server", *(f"--{name}={value}" for name, value in options.items())]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=os.environ | SERVER_SETTINGS,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(600):
            try:
                self.process.wait(timeout=0.2)  # ends at once only if the server has died
                pytest.fail((self.folder / "log").read_text())
            except subprocess.TimeoutExpired:
                pass
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                continue
        pytest.fail((self.folder / "log").read_text())

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Iterator[Server]:
    """One for all tests of a process: whoever kills it starts it again."""
    made = Server(tmp_path_factory.mktemp("server"), tables)
    made.start()
    yield made
    made.kill()
