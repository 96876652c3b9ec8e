"""MLflow straight on PostgreSQL, with artifacts on S3: real servers, which die."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from servers import PASSWORD, Bucket, Postgres, bucket, postgres

from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.tracking import tracked
from genbalance.tracking.store import reach

__all__ = ["bucket", "postgres"]
EPOCHS = 20
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def on_postgres(postgres: Postgres, bucket: Bucket, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.url)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", bucket.url)
    return postgres


def log_stage(stage: str, params: Params) -> str:
    with tracked(stage, params) as run:
        run.image("samples", np.zeros((8, 8), np.uint8), step=1)
    return run.run_id


def runs(client: MlflowClient, experiment: str) -> list[Run]:
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def named(params: Params, name: str) -> Params:
    """The params with an experiment of the test's own: the server is shared."""
    return params.model_copy(update={"tracking": params.tracking.model_copy(update={"experiment": name})})


def test_the_artifacts_of_two_clones_are_where_both_reach_them(
    on_postgres: Postgres, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = named(params, "clones")
    other = Path(shutil.copytree(repo, repo.with_name("other")))
    log_stage("prepare", params)
    monkeypatch.chdir(other)
    log_stage("report", params)
    client = MlflowClient(on_postgres.url)
    for stage in ("prepare", "report"):
        (run,) = [run for run in runs(client, "clones") if run.info.run_name == stage]
        assert [file.path for file in client.list_artifacts(run.info.run_id, "images")]
        assert run.info.artifact_uri.startswith("s3://genbalance/runs/")


def test_a_database_without_a_place_for_artifacts_is_refused_before_anything_is_made(
    on_postgres: Postgres, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    with pytest.raises(UserError, match="MLFLOW_DEFAULT_ARTIFACT_ROOT: found nothing") as refused:
        log_stage("prepare", named(params, "no place"))
    assert PASSWORD[:6] not in str(refused.value)
    assert MlflowClient(on_postgres.url).get_experiment_by_name("no place") is None


def test_artifacts_that_another_machine_keeps_are_refused(
    on_postgres: Postgres, params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "../there")  # from the root, as in an address
    (tmp_path / "there").mkdir()
    log_stage("prepare", named(params, "elsewhere"))
    shutil.rmtree(tmp_path / "there")
    with pytest.raises(UserError, match="there, which is no folder here"):
        log_stage("report", named(params, "elsewhere"))
    assert not (tmp_path / "there").exists()


def test_a_database_that_dies_in_training_and_comes_back_has_every_point_and_picture_once(
    on_postgres: Postgres, params: Params, capsys: pytest.CaptureFixture[str], repo: Path
) -> None:
    params = named(params, "killed")
    with tracked("train_gan", params) as run:
        for epoch in range(1, EPOCHS + 1):
            if epoch == EPOCHS // 2:
                run.flush()
                on_postgres.kill()
            run.log({"loss": 1 / epoch}, step=epoch)
            run.image("samples", np.full((8, 8), epoch, np.uint8), step=epoch)
    printed = capsys.readouterr().err
    assert "; the run is in " in printed
    assert PASSWORD[:6] not in printed
    on_postgres.start()
    log_stage("report", params)
    assert "runs copied to postgresql://…@127.0.0.1:" in capsys.readouterr().err
    client = MlflowClient(on_postgres.url)
    found = runs(client, "killed")
    assert sorted(each.info.run_name for each in found if "mlflow.parentRunId" in each.data.tags) == [
        "report",
        "train_gan",
    ]
    assert {each.info.status for each in found} == {"FINISHED"}
    (trained,) = [each.info.run_id for each in found if each.info.run_name == "train_gan"]
    assert sorted(p.step for p in client.get_metric_history(trained, "loss")) == list(range(1, EPOCHS + 1))
    pictures = [file.path for file in client.list_artifacts(trained, "images") if file.path.endswith(".png")]
    assert len(pictures) == EPOCHS


def test_a_place_of_artifacts_that_dies_in_training_stops_nothing(
    on_postgres: Postgres, bucket: Bucket, params: Params, capsys: pytest.CaptureFixture[str], repo: Path
) -> None:
    with tracked("train_gan", named(params, "bucket")) as run:
        run.image("samples", np.zeros((8, 8), np.uint8), step=1)
        bucket.stop()
        run.image("samples", np.zeros((8, 8), np.uint8), step=2)
    printed = capsys.readouterr().err
    assert "; the run is in " in printed
    assert "s3cr3t" not in printed
    assert len(list((repo / "mlartifacts").rglob("*step+2*.png"))) == 1


def test_the_cause_is_printed_of_a_database_that_is_away_or_refuses(
    on_postgres: Postgres, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", on_postgres.url.replace("bob:", "eve:"))
    with pytest.raises(UserError, match='password authentication failed for user "eve"') as refused:
        log_stage("prepare", params)
    assert PASSWORD[:6] not in str(refused.value)
    assert "\n" not in str(refused.value)
    on_postgres.kill()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", on_postgres.url)
    log_stage("prepare", params)
    away = capsys.readouterr().err
    on_postgres.start()
    assert "Connection refused" in away
    assert PASSWORD[:6] not in away
    assert away.count("\n") == 1


def test_a_bucket_that_does_not_exist_ends_a_stage_before_its_first_step(
    on_postgres: Postgres, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://nowhere/runs")
    trained = False
    with pytest.raises(UserError, match="NoSuchBucket"), tracked("prepare", named(params, "nowhere")):
        trained = True
    assert not trained


def test_a_missing_client_of_artifacts_ends_a_stage_before_its_first_step(on_postgres: Postgres, repo: Path) -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from genbalance.runtime.stage import execute\n"
        "execute('prepare', lambda params, run: print('a step'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "pip install 'genbalance[s3]'" in done.stderr


def test_the_store_is_opened_within_the_time_of_an_answer(on_postgres: Postgres) -> None:
    """The address names a time to connect in; MLflow alone tries for minutes."""
    assert "connect_timeout=10" in reach("timeout").address.raw
