"""A tracking server that is away when a stage starts, dies while it trains, and comes back."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity
from stores import PROFILE

from genbalance.params import Params
from genbalance.tracking import Run, tracked
from genbalance.tracking.provenance import shown

SRC = Path(__file__).parents[2] / "src"
EPOCHS = 40
pytestmark = pytest.mark.slow
DYING = """
import os, signal
from genbalance.params import read_params
from genbalance.tracking import tracked
with tracked("train_vae", read_params()) as run:
    for epoch in range(1, 6):
        run.log({"loss": 1 / epoch}, step=epoch)
    run.flush()
    print(run.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def train(run: Run, first: int, last: int) -> None:
    """What a stage logs over some epochs."""
    for epoch in range(first, last + 1):
        run.log({"loss": 1 / epoch, "rate": float(epoch)}, step=epoch)
        if epoch % 10 == 0:
            run.image("samples", np.full((20, 20), epoch, np.uint8), step=epoch)


def runs(url: str) -> tuple[list[Entity], list[Entity]]:
    """Parents and children, the oldest first."""
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name("genbalance")
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in found if run not in parents]


def steps(url: str, run: Entity, metric: str) -> list[int]:
    return sorted(point.step for point in MlflowClient(url).get_metric_history(run.info.run_id, metric))


def pictures(url: str, run: Entity) -> list[str]:
    names = [file.path for file in MlflowClient(url).list_artifacts(run.info.run_id, "images")]
    return sorted(name.split("+timestamp")[0] for name in names if name.endswith(".png"))


def test_a_server_that_dies_and_comes_back_has_every_point_picture_and_tag_once(
    server, empty_repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with tracked("train_gan", params) as run:
        train(run, 1, 15)
        run.flush()
        server.kill()
        train(run, 16, EPOCHS)
        run.artifact(Path("params.yaml"), "inputs")
        run.dataset("digits", "abc", "bundled", PROFILE)
        run.headline({"fd_test": 1.5})
    assert capsys.readouterr().err.count("it does not answer: Connection refused; the run is in ") == 1

    server.start()
    for stage in ("evaluate_gan", "report"):  # the first copies what waits, the second finds nothing that does
        with tracked(stage, params):
            pass
    assert capsys.readouterr().err == f"evaluate_gan: 3 runs copied to {server.url}\n"
    parents, children = runs(server.url)
    (parent,), trained = parents, children[0]
    assert [child.info.run_name for child in children] == ["train_gan", "evaluate_gan", "report"]
    assert {each.info.status for each in (*parents, *children)} == {"FINISHED"}
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    points = {metric: steps(server.url, trained, metric) for metric in ("loss", "rate")}
    assert points == {metric: list(range(1, EPOCHS + 1)) for metric in points}
    shown = pictures(server.url, trained)
    assert shown == [f"images/grids~samples+step+{step}" for step in (10, 20, 30, 40)]
    assert [file.path for file in MlflowClient(server.url).list_artifacts(trained.info.run_id, "inputs")] == [
        "inputs/params.yaml"
    ]
    assert parent.data.metrics["fd_test"] == 1.5
    for each in (parent, trained):
        assert [given.dataset.name for given in each.inputs.dataset_inputs] == ["digits"]
    print(f"\nserver killed and back: {len(parents + children)} runs, {points} points, {len(shown)} pictures")


def test_a_pipeline_that_starts_without_its_server_is_copied_in_order_and_once(
    server, params: Params, empty_repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    before = runs(server.url)
    server.kill()
    for stage in ("prepare", "train_vae"):
        with tracked(stage, params) as run:
            train(run, 1, 20)
            if stage == "prepare":
                run.headline({"fd_test": 2.5})
    with pytest.raises(ValueError, match="no"), tracked("evaluate_vae", params):
        raise ValueError("no")
    dead = subprocess.run([sys.executable, "-c", DYING], env=os.environ | {"PYTHONPATH": str(SRC)})
    assert dead.returncode == -9
    server.start()
    with tracked("report", params):
        pass
    assert "runs copied to" in capsys.readouterr().err

    parents, children = (now[len(then) :] for then, now in zip(before, runs(server.url), strict=True))
    assert [child.info.run_name for child in children][:3] == ["prepare", "train_vae", "evaluate_vae"]
    assert sorted(child.info.status for child in children) == ["FAILED", "FINISHED", "FINISHED", "FINISHED", "KILLED"]
    # train_vae had finished when it was started again: that is another pipeline run, which the report belongs to
    assert sorted(parent.info.status for parent in parents) == ["FAILED", "KILLED"]
    assert [parent.data.metrics.get("fd_test") for parent in parents] == [2.5, None]
    for child in children[:2]:
        assert steps(server.url, child, "loss") == list(range(1, 21))
        assert child.data.params == shown(params.flat())
        assert len(pictures(server.url, child)) == 2


def test_a_copy_that_breaks_off_is_finished_by_the_next(
    server, params: Params, empty_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    before = runs(server.url)
    server.kill()
    for stage in ("prepare", "train_gan"):
        with tracked(stage, params) as run:
            train(run, 1, 10)
    server.start()
    set_terminated = MlflowClient.set_terminated

    def break_off(client: MlflowClient, run_id: str, *rest: object) -> None:
        set_terminated(client, run_id, *rest)  # type: ignore[arg-type]
        if client.tracking_uri == server.url and server.process.poll() is None:
            server.kill()

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_terminated", break_off)
        with tracked("train_vae", params):
            pass
    server.start()
    with tracked("report", params):
        pass
    parents, children = (now[len(then) :] for then, now in zip(before, runs(server.url), strict=True))
    assert sorted(child.info.run_name for child in children) == ["prepare", "report", "train_gan", "train_vae"]
    assert len(parents) == 1
    for child in children:
        if child.info.run_name in ("prepare", "train_gan"):
            assert steps(server.url, child, "loss") == list(range(1, 11))
            assert pictures(server.url, child) == ["images/grids~samples+step+10"]
