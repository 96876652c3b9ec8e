"""`genbalance ui`: a server and its end, or the address at another."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient
from signals import hears_all
from stores import empty_repo, repo, server

from genbalance.commands.ui import serve
from genbalance.errors import UserError
from genbalance.tracking.view import TAG, view

__all__ = ["empty_repo", "repo", "server"]
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def screenless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_ctrl_c_ends_the_server_that_it_started(repo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "genbalance", "ui", "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_all,
    )
    address = process.stdout.readline().strip()
    base, _, place = address.partition("/#/")
    with urllib.request.urlopen(f"{base}/health") as answer:  # it answers as soon as the address is told
        assert answer.status == 200
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genbalance")  # made by the command
    assert experiment.tags[TAG] == view()
    key = TAG.rpartition(".")[2]
    ours = f"experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={key}"
    assert place == ours
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "MLflow's server is starting; Ctrl-C ends it\n")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{base}/health")


def test_a_server_elsewhere_is_told_and_none_is_started(
    server, empty_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url.replace("//", "//user:secret@"))
    monkeypatch.setattr("genbalance.commands.ui.psutil.Popen", None)
    told: list[str] = []
    serve(5000, told.append)
    assert len(told) == 1
    assert re.match(rf"{server.url}/#/experiments/\d+/runs\?", told[0])


def test_a_port_that_is_taken_is_told_in_a_line(repo: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port: {port} cannot be used .*; give another, or 0 for any"):
            serve(port, print)


def test_a_server_that_does_not_start_says_why(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbalance.commands.ui.sys.executable", "false")
    with pytest.raises(UserError, match="mlflow server: did not start; it said: nothing"):
        serve(0, print)
