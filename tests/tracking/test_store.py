"""Opening a store: absent, shared, away, broken, behind a server."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from stores import PROFILE

from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.tracking import sync, tracked

PROCESSES = 3
SRC = Path(__file__).parents[2] / "src"
STAGE = """
import sys
from pathlib import Path
from genbalance.params import read_params
from genbalance.tracking import tracked
with tracked(sys.argv[1], read_params()) as run:
    for step in range(1, 21):
        run.log({"loss": step / 2}, step=step)
    run.artifact(Path("params.yaml"))
"""


def test_a_server_gets_metrics_images_and_artifacts(
    server,
    repo: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, kept = server.url, server.folder / "kept"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with tracked("train_gan", params) as run:
        for step in range(1, 31):
            run.log({"loss": step / 2}, step=step)
        run.image("samples", np.zeros((20, 20), np.uint8), step=1)
        run.artifact(Path("params.yaml"), "inputs")
        run.dataset("digits", "abc", "bundled", PROFILE)
        run.headline({"fd_test": 1.5})
    assert capsys.readouterr() == ("", "")
    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name("genbalance").experiment_id
    (child,) = client.search_runs([experiment], f"tags.`{sync.ORIGIN}` = '{run.run_id}'")
    parent = client.get_run(child.data.tags["mlflow.parentRunId"])
    assert (child.info.status, parent.info.status) == ("FINISHED", "FINISHED")
    assert [m.value for m in client.get_metric_history(child.info.run_id, "loss")] == [
        step / 2 for step in range(1, 31)
    ]
    assert parent.data.metrics["fd_test"] == 1.5
    assert {path.name for path in kept.rglob(f"{child.info.run_id}/artifacts/*")} == {"images", "inputs", "params.yaml"}
    assert not {"mlruns", ".spool"} & {path.name for path in repo.iterdir()}


def test_a_server_has_what_is_logged_while_the_stage_runs(
    server, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setattr(sync, "INTERVAL", 0.01)
    client = MlflowClient(tracking_uri=server.url)
    with tracked("train_vae", params) as run:
        run.log({"loss": 0.5}, step=1)
        run.flush()
        there: list[float] = []
        while not there:  # a stage that ends without it would be the failure
            experiments = [each.experiment_id for each in client.search_experiments()]
            found = client.search_runs(experiments, f"tags.`{sync.ORIGIN}` = '{run.run_id}'")
            there = [each.data.metrics["loss"] for each in found if "loss" in each.data.metrics]
        assert there == [0.5]
        assert found[0].info.status == "RUNNING"


def test_processes_that_open_an_empty_store_at_once_each_leave_a_whole_run(empty_repo: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    processes = [
        subprocess.Popen([sys.executable, "-c", STAGE, f"stage_{n}"], env=environment) for n in range(PROCESSES)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * PROCESSES
    with sqlite3.connect(empty_repo / "mlflow.db") as store:
        names = [name for (name,) in store.execute("SELECT name FROM runs WHERE status = 'FINISHED' ORDER BY name")]
        points = store.execute("SELECT count(*) FROM metrics WHERE key = 'loss'").fetchone()[0]
    assert names[-PROCESSES:] == [f"stage_{n}" for n in range(PROCESSES)]
    assert len(names) == PROCESSES + 1
    assert points == PROCESSES * 20
    assert len(list((empty_repo / "mlartifacts").rglob("params.yaml"))) == PROCESSES


def test_a_server_that_is_away_is_named_in_one_line_and_the_run_is_kept(
    repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound but not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        with tracked("prepare", params) as run:
            pass
    printed = capsys.readouterr().err
    assert f"{url.partition('@')[2]}: it does not answer: Connection refused; the run is in {repo}/mlflow.db" in printed
    assert "secret" not in printed
    assert printed.count("\n") == 1
    assert MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_run(run.run_id).info.status == "FINISHED"


def test_a_file_that_is_no_store_is_an_error_in_one_line(repo: Path, params: Params) -> None:
    (repo / "mlflow.db").write_text("no database")
    with pytest.raises(UserError, match=r"mlflow\.db cannot be used: .*no.* a database") as error, tracked("a", params):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("uri", ["./mlruns", "nonsense://store"])
def test_a_store_of_another_kind_is_refused_in_one_line(
    uri: str, empty_repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI: ") as error, tracked("prepare", params):
        pass
    assert "\n" not in str(error.value)


def test_a_store_of_a_newer_schema_is_an_error_in_one_line(repo: Path, params: Params) -> None:
    with sqlite3.connect(repo / "mlflow.db") as store:
        store.execute("UPDATE alembic_version SET version_num = 'fffffffffffe'")
    with pytest.raises(UserError, match=r"mlflow\.db cannot be used: .*schema") as error, tracked("a", params):
        pass
    assert "\n" not in str(error.value)
    assert "move it away, or set MLFLOW_TRACKING_URI" in str(error.value)


def test_a_full_disk_ends_the_stage_with_one_line(repo: Path) -> None:
    """A limit on the size of files stands for the disk's: the store cannot grow."""
    full = STAGE.replace("import sys\n", "import resource, signal, sys\n").replace(
        "    for step in range(1, 21):\n",
        "    size = Path('mlflow.db').stat().st_size\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "    for step in range(1, 30001):\n",
    )
    guarded = f"try:\n{textwrap.indent(full, '    ')}\nexcept UserError as error:\n    sys.exit(str(error))"
    code = f"from genbalance.runtime.errors import UserError\n{guarded}"
    died = subprocess.run(
        [sys.executable, "-c", code, "train_vae"],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
    )
    assert died.returncode == 1
    assert died.stderr.count("\n") == 1, died.stderr
    line = died.stderr
    assert re.search("mlflow.db cannot be used: (database or disk is full|disk I/O error); ", line)
    assert "make its place writable or move it away" in line
