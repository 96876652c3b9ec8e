"""A store's file that was moved, copied, or written by an older MLflow."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.tracking import tracked
from genbalance.tracking.address import sqlite_address
from genbalance.tracking.store import reach

OLDER = "acf3f17fdcc7"  # the schema of MLflow 2.10


def log_stage(stage: str, params: Params) -> str:
    with tracked(stage, params) as run:
        run.image("samples", np.zeros((8, 8), np.uint8), step=1)
        run.artifact(Path("params.yaml"), "inputs")
    return run.run_id


def files(repo: Path, run_id: str) -> list[str]:
    """The run's artifacts, as MLflow finds them in the store of a repository."""
    client = MlflowClient(sqlite_address(repo / "mlflow.db").raw)
    return sorted(file.path for folder in ("", "inputs", "images") for file in client.list_artifacts(run_id, folder))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["new", "new %20?"])
def test_a_moved_checkout_keeps_its_artifacts_and_gets_the_new_ones(
    name: str, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = log_stage("prepare", params)
    before = files(repo, first)
    new = repo.rename(repo.with_name(name))
    monkeypatch.chdir(new)
    second = log_stage("prepare", params)
    assert not repo.exists()  # MLflow alone makes the old folder again
    assert files(new, first) == before
    assert len(before) == len(files(new, second)) > 3
    assert (new / "mlartifacts" / second / "artifacts/inputs/params.yaml").is_file()


def test_a_copied_checkout_writes_nothing_into_the_original(
    repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = log_stage("prepare", params)
    before = tree(repo)
    copy = Path(shutil.copytree(repo, repo.with_name("copy")))
    monkeypatch.chdir(copy)
    second = log_stage("prepare", params)
    assert tree(repo) == before
    assert files(copy, first)
    assert files(copy, second)


def test_a_logged_model_of_a_moved_store_is_found(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that MLflow keeps as an absolute path: experiments, runs, logged models, versions."""
    store = reach("genbalance")
    model = store.client.create_logged_model(store.experiment_id, "gan")
    store.client.create_registered_model("gan")
    store.client.create_model_version("gan", model.artifact_location, model_id=model.model_id)
    new = repo.rename(repo.with_name("new"))
    monkeypatch.chdir(new)
    moved = reach("genbalance").client
    place = (new / "mlartifacts").as_uri()
    assert moved.get_logged_model(model.model_id).artifact_location.startswith(f"{place}/models/")
    version = moved.get_model_version("gan", "1")
    assert version.source.startswith(f"{place}/models/")
    with closing(sqlite3.connect(new / "mlflow.db")) as file:
        assert str(repo.as_uri()) + "/" not in "\n".join(file.iterdump())


def test_what_lies_elsewhere_on_purpose_stays_there(repo: Path, tmp_path: Path, params: Params) -> None:
    client = MlflowClient(sqlite_address(repo / "mlflow.db").raw)
    kept = tmp_path / "kept"
    client.create_experiment("genbalance", artifact_location=kept.as_uri())
    run_id = log_stage("prepare", params)
    assert (kept / run_id / "artifacts/inputs/params.yaml").is_file()


@pytest.mark.parametrize("place", ["s3://bucket/mlartifacts", "file:///nowhere-mounted/../tmp/none/mlartifacts"])
def test_a_place_elsewhere_is_not_taken_for_one_that_was_moved(place: str, repo: Path, params: Params) -> None:
    log_stage("prepare", params)
    client = MlflowClient(sqlite_address(repo / "mlflow.db").raw)
    client.create_experiment("theirs", artifact_location=place)
    kept = client.get_experiment_by_name("theirs").artifact_location
    log_stage("report", params)
    assert client.get_experiment_by_name("theirs").artifact_location == kept


def test_artifacts_lie_beside_a_store_that_lies_elsewhere(
    empty_repo: Path, tmp_path: Path, tables: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clones that share the file find each other's."""
    shared = tmp_path / "shared/runs.db"
    shared.parent.mkdir()
    shutil.copy(tables, shared)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")
    run_id = log_stage("prepare", params)
    assert (shared.parent / "mlartifacts" / run_id / "artifacts/inputs/params.yaml").is_file()
    assert not (empty_repo / "mlartifacts").exists()


@pytest.fixture
def older(empty_repo: Path) -> Path:
    """A store as MLflow 2.10 left it."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    file = empty_repo / "mlflow.db"
    Base.metadata.create_all(create_engine(f"sqlite:///{file}"))
    command.upgrade(_get_alembic_config(f"sqlite:///{file}"), OLDER)
    return file


def schema(file: Path) -> str:
    with closing(sqlite3.connect(file)) as store:
        return store.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_a_command_that_only_reads_leaves_an_older_store_as_it_is(older: Path) -> None:
    before = older.read_bytes()
    with pytest.raises(UserError, match=rf"mlflow\.db: was written by an older MLflow \(schema {OLDER}\)"):
        reach("genbalance", change=False)
    assert older.read_bytes() == before


def test_a_stage_keeps_a_copy_of_an_older_store_and_says_so(
    older: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    log_stage("prepare", params)
    copy = older.with_name(f"mlflow.db.{OLDER}")
    assert capsys.readouterr().err == f"mlflow.db: upgraded for this MLflow; {copy.name} is a copy for the older one\n"
    assert schema(copy) == OLDER
    assert schema(older) != OLDER
    log_stage("report", params)
    assert capsys.readouterr().err == ""
