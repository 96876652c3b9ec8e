"""Runs of processes that have died: closed by the next stage, or resumed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity

from genbalance.params import Params
from genbalance.tracking import tracked
from genbalance.tracking.cached_stages import log_missing
from genbalance.tracking.processes import is_dead, this_process

SRC = Path(__file__).parents[2] / "src"
DYING = """
import os, signal
import numpy as np
from genbalance.params import read_params
from genbalance.tracking import tracked
with tracked("train_vae", read_params()) as run:
    for epoch in range(1, 8):
        run.log({"loss": 1 / epoch}, step=epoch)
    run.log({"bf16": 0.0})
    run.image("samples", np.zeros((8, 8), np.uint8), step=7)
    run.flush()
    print(run.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(repo: Path) -> str:
    """The run of a stage that was killed in its seventh epoch."""
    died = subprocess.run(
        [sys.executable, "-c", DYING], env=os.environ | {"PYTHONPATH": str(SRC)}, capture_output=True, text=True
    )
    assert died.returncode == -9, died.stderr
    return died.stdout.strip()


def every_run(repo: Path) -> list[Entity]:
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genbalance")
    return list(client.search_runs([experiment.experiment_id]))


def statuses(repo: Path) -> dict[str, str]:
    return {
        run.info.run_name if "mlflow.parentRunId" in run.data.tags else "parent": run.info.status
        for run in every_run(repo)
    }


def test_this_process_lives_and_one_that_is_gone_does_not() -> None:
    host, number, start = this_process().rsplit("/", 2)
    assert not is_dead(this_process())
    assert is_dead(f"{host}/{number}/{float(start) - 1000:.0f}")  # its number is another one's now
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_dead(f"{host}/{gone.pid}/{start}")


@pytest.mark.parametrize("process", ["", "elsewhere/1/2", "nonsense"])
def test_a_process_elsewhere_is_not_taken_for_dead(process: str) -> None:
    assert not is_dead(process)


def test_the_next_stage_closes_what_a_dead_process_left_running(killed: str, repo: Path, params: Params) -> None:
    assert statuses(repo) == {"parent": "RUNNING", "train_vae": "RUNNING"}
    with tracked("train_gan", params):
        assert statuses(repo)["train_vae"] == "KILLED"
    assert statuses(repo) == {"parent": "KILLED", "train_vae": "KILLED", "train_gan": "FINISHED"}


@pytest.fixture
def of_dvc(monkeypatch: pytest.MonkeyPatch):
    """Lets the stages be those of a process of DVC that has others still to run."""

    def by(process: str, *remaining: str) -> None:
        for module in ("run", "pipeline_run"):
            monkeypatch.setattr(f"genbalance.tracking.{module}.dvc_process", lambda: process)
        monkeypatch.setattr("genbalance.tracking.run.dvc_has_ended", lambda: is_dead(process))
        monkeypatch.setattr("genbalance.tracking.lineage.Lineage.remaining", lambda *_: list(remaining))

    return by


@pytest.fixture
def gone() -> str:
    """A process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, _, start = this_process().rsplit("/", 2)
    return f"{host}/{ended.pid}/{start}"


def test_a_parent_is_finished_when_no_stage_is_left_to_run_and_not_before(repo: Path, params: Params, of_dvc) -> None:
    of_dvc(this_process(), "train_vae", "report")
    with tracked("prepare", params):
        pass
    assert statuses(repo)["parent"] == "RUNNING"
    of_dvc(this_process(), "report")
    with tracked("train_vae", params):
        pass
    assert statuses(repo)["parent"] == "RUNNING"
    of_dvc(this_process())
    with tracked("report", params):
        pass
    assert set(statuses(repo).values()) == {"FINISHED"}


@pytest.mark.parametrize("looks", ["stage", "sync"])
def test_a_parent_whose_dvc_was_killed_between_stages_is_killed(
    looks: str, repo: Path, params: Params, of_dvc, gone: str
) -> None:
    of_dvc(this_process(), "train_vae")
    with tracked("prepare", params):
        pass
    (repo / "dvc.lock").write_text("stages: {}\n")
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    (parent,) = [run for run in every_run(repo) if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "RUNNING"
    client.set_tag(parent.info.run_id, "genbalance.dvc", gone)
    of_dvc("")
    if looks == "sync":
        assert log_missing(params) == []
    else:
        (repo / "src/code.py").write_text("1")  # of another pipeline run
        with tracked("prepare", params):
            pass
    assert client.get_run(parent.info.run_id).info.status == "KILLED"


def test_a_repetition_mends_a_parent_whose_dvc_was_killed(repo: Path, params: Params, of_dvc, gone: str) -> None:
    of_dvc(gone, "report")
    with tracked("prepare", params):
        pass
    assert statuses(repo)["parent"] == "KILLED"
    of_dvc(this_process())
    with tracked("report", params):
        pass
    assert statuses(repo) == {"parent": "FINISHED", "prepare": "FINISHED", "report": "FINISHED"}


def test_what_goes_wrong_after_the_end_of_its_dvc_is_no_failure(repo: Path, params: Params, of_dvc, gone: str) -> None:
    of_dvc(gone, "report")
    with pytest.raises(FileNotFoundError), tracked("prepare", params):
        raise FileNotFoundError("the copy is deleted")
    assert statuses(repo) == {"parent": "KILLED", "prepare": "KILLED"}


def test_the_dvc_of_a_stage_is_the_nearest_process_that_it_gave_no_stage_to() -> None:
    """With a shell and whatever else between."""
    asked = "from genbalance.tracking.processes import dvc_command, dvc_process; print(dvc_process(), *dvc_command())"
    inner = f"exec {sys.executable} -c '{asked}'"
    shell = ["sh", "-c", f'sh -c "{inner}"; true']
    known = os.environ | {"PYTHONPATH": str(SRC)}
    for stage, printed in (("train_vae", f"{this_process()} {' '.join(psutil.Process().cmdline())}"), ("", "")):
        done = subprocess.run(shell, env=known | {"DVC_STAGE": stage}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == printed


def test_a_live_stage_beside_is_left_alone(repo: Path, params: Params) -> None:
    with tracked("train_vae", params), tracked("train_gan", params):
        assert set(statuses(repo).values()) == {"RUNNING"}


def test_a_resumed_run_goes_on_without_doubled_points(killed: str, repo: Path, params: Params) -> None:
    with tracked("train_vae", params, lambda key: killed) as run:
        assert run.run_id == killed
        run.log({"bf16": 0.0})
        for epoch in range(5, 11):  # the last checkpoint was of the fourth epoch
            run.log({"loss": 1 / epoch}, step=epoch)
        run.image("samples", np.zeros((8, 8), np.uint8), step=7)
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    history = [(point.step, point.value) for point in client.get_metric_history(killed, "loss")]
    assert sorted(history) == [(epoch, 1 / epoch) for epoch in range(1, 11)]
    assert len(client.get_metric_history(killed, "bf16")) == 1
    assert len(list((repo / "mlartifacts" / killed).rglob("*.png"))) == 1
    assert statuses(repo) == {"parent": "FINISHED", "train_vae": "FINISHED"}


def test_a_run_that_is_gone_is_not_resumed(killed: str, repo: Path, params: Params) -> None:
    MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").delete_run(killed)
    with tracked("train_vae", params, lambda key: killed) as run:
        assert run.run_id != killed
    assert statuses(repo)["train_vae"] == "FINISHED"
