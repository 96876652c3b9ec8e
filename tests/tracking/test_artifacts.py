"""A run that holds nothing but artifacts."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from genbalance.errors import UserError
from genbalance.params import Params
from genbalance.tracking import tracked
from genbalance.tracking.artifacts import KIND, LONGEST, keep_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "comparison.html").write_text("<p>page</p>")
    (place / "table.csv").write_text("a\n1\n")
    return place


def test_the_folder_s_files_are_the_run_s_artifacts(repo: Path, folder: Path) -> None:
    name = keep_folder("mine", "compare a, b", "comparison", folder)
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert (run.info.run_name, run.info.status) == (name, "FINISHED") == ("compare a, b", "FINISHED")
    assert run.data.tags[KIND] == "comparison"
    assert "mlflow.parentRunId" not in run.data.tags
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["comparison.html", "table.csv"]
    assert (repo / "mlartifacts" / run.info.run_id / "artifacts/comparison.html").read_text() == "<p>page</p>"


def test_a_stage_that_runs_afterwards_does_not_take_it_for_its_parent(repo: Path, folder: Path, params: Params) -> None:
    keep_folder(params.tracking.experiment, "compare a, b", "comparison", folder)
    with tracked("prepare", params) as run:
        pass
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    assert KIND not in client.get_run(run.parent_id).data.tags


def test_a_long_name_is_cut(repo: Path, folder: Path) -> None:
    name = keep_folder("mine", "x" * 500, "comparison", folder)
    assert len(name) == LONGEST
    assert name.endswith("…")


def test_a_store_that_cannot_be_used_is_told_in_a_line(
    repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI: .*does not answer"):
        keep_folder("mine", "compare", "comparison", folder)
