"""Parent and child runs in an SQLite store, and a run that holds nothing but artifacts."""

import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity
from stores import PROFILE

from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import write_json
from genbalance.tracking import Run, tracked
from genbalance.tracking.cached_stages import log_missing
from genbalance.tracking.run import KIND, LONGEST_NAME, keep_folder
from genbalance.tracking.store import metric_name


def runs(repo: Path) -> tuple[list[Entity], list[Entity]]:
    """Parents and children, the oldest first."""
    client = MlflowClient(tracking_uri=f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genbalance")
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in found if run not in parents]


def run_stages(params: Params, *stages: str) -> None:
    for stage in stages:
        with tracked(stage, params):
            pass


def test_the_stages_of_one_pipeline_run_share_a_parent(repo: Path, params: Params) -> None:
    run_stages(params, "prepare", "train_vae", "report")
    parents, children = runs(repo)
    assert len(parents) == 1
    assert [child.info.run_name for child in children] == ["prepare", "train_vae", "report"]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parents[0].info.run_id}
    assert {run.info.status for run in parents + children} == {"FINISHED"}


def test_a_finished_stage_that_runs_again_opens_a_new_pipeline_run(repo: Path, params: Params) -> None:
    run_stages(params, "prepare", "report", "prepare", "report")
    parents, children = runs(repo)
    assert len(parents) == 2
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [
        parents[index].info.run_id for index in (0, 0, 1, 1)
    ]


def test_a_failed_stage_that_is_repeated_mends_its_pipeline_run(repo: Path, params: Params) -> None:
    run_stages(params, "prepare")
    with pytest.raises(UserError), tracked("report", params):
        raise UserError("no")
    parents, children = runs(repo)
    assert [run.info.status for run in parents + children] == ["FAILED", "FINISHED", "FAILED"]
    run_stages(params, "report")
    parents, children = runs(repo)
    assert [run.info.status for run in parents + children] == ["FINISHED", "FINISHED", "FAILED", "FINISHED"]


def test_other_code_or_params_or_experiment_is_another_pipeline_run(
    repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stages(params, "prepare")
    (repo / "src/code.py").write_text("1")
    run_stages(params, "train_gan")
    (repo / "params.yaml").write_text("changed")
    run_stages(params, "train_gan")
    monkeypatch.setenv("DVC_EXP_NAME", "bold-eagle")
    run_stages(params, "train_gan")
    parents, _ = runs(repo)
    commit = parents[0].data.tags["mlflow.source.git.commit"][:8]
    assert [parent.info.run_name for parent in parents] == [commit, f"{commit}-dirty", f"{commit}-dirty", "bold-eagle"]
    assert [parent.data.tags["git.dirty"] for parent in parents] == ["false", "true", "true", "true"]
    assert parents[2].data.tags["git.changed"] == "params.yaml src/code.py"


def test_a_parent_runs_as_long_as_one_of_its_stages_does(repo: Path, params: Params) -> None:
    with tracked("train_gan", params):
        run_stages(params, "train_vae")
        assert runs(repo)[0][0].info.status == "RUNNING"
    parents, children = runs(repo)
    assert [run.info.status for run in parents + children] == ["FINISHED"] * 3


def test_a_failure_is_not_covered_by_a_sibling_that_ends_well(repo: Path, params: Params) -> None:
    with tracked("train_gan", params), pytest.raises(ValueError, match="no"), tracked("train_vae", params):
        raise ValueError("no")
    parents, children = runs(repo)
    assert [run.info.status for run in parents + children] == ["FAILED", "FINISHED", "FAILED"]


def test_the_parents_row_is_complete_by_itself(repo: Path, params: Params) -> None:
    with tracked("report", params) as run:
        run.headline({"fd_test": 1.5})
        run.dataset("digits", "d" * 40, "bundled", PROFILE)
    parents, children = runs(repo)
    assert parents[0].data.params == {name: str(value) for name, value in params.flat().items()}
    assert parents[0].data.metrics.keys() == {"fd_test", "energy_wh", "co2_g"}
    assert parents[0].data.metrics["fd_test"] == 1.5
    assert "fd_test" not in children[0].data.metrics
    for run_ in (parents[0], children[0]):
        assert [(d.dataset.name, d.dataset.digest) for d in run_.inputs.dataset_inputs] == [("digits", "d" * 36)]


def test_a_metric_of_a_class_of_any_name_is_kept_apart_from_others(repo: Path, params: Params) -> None:
    names = ["Ключ: 1", "a & b", "a # b", "a/b", "<b>$x^{", "long " * 100, "long " * 99 + "longer"]
    with tracked("train_classifier", params) as run:
        run.log({f"per_class_accuracy.{name}": place / 8 for place, name in enumerate(names)})
    _, (child,) = runs(repo)
    found = {name: value for name, value in child.data.metrics.items() if name.startswith("per_class_accuracy.")}
    assert sorted(found.values()) == [place / 8 for place in range(len(names))]
    assert found["per_class_accuracy.Ключ: 1"] == 0


def test_of_a_restored_stage_every_class_is_logged_whatever_it_is_called(repo: Path, params: Params) -> None:
    """More of them than MLflow takes in one call, by names as of a stage that runs."""
    shares = {f"a & b #{label}" + "+" * (label % 2): label / 2000 for label in range(1100)}
    write_json(Path("metrics/evaluate_gan.json"), {"n": 7, "class_histogram": shares})
    md5 = hashlib.md5(Path("metrics/evaluate_gan.json").read_bytes()).hexdigest()
    entry = {"cmd": "x", "outs": [{"path": "metrics/evaluate_gan.json", "md5": md5, "hash": "md5", "size": 1}]}
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"evaluate@gan": entry}}), encoding="utf-8")
    assert log_missing(params) == ["evaluate@gan"]
    _, (child,) = runs(repo)
    assert child.info.status == "FINISHED"
    expected = {metric_name(f"class_histogram.{name}"): share for name, share in shares.items()}
    assert len(expected) == len(shares)
    assert child.data.metrics == {"n": 7} | expected


def test_a_child_knows_its_code_and_environment(repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "evaluate@gan")
    run_stages(params, "evaluate_gan")
    _, (child,) = runs(repo)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, capture_output=True, text=True, check=True).stdout
    tags = child.data.tags
    assert tags["mlflow.source.git.commit"] == head.strip()
    assert (tags["genbalance.stage"], tags["dvc.stage"]) == ("evaluate_gan", "evaluate@gan")
    assert tags["env.python"] == platform.python_version()
    assert {"env.torch", "env.mlflow", "env.dvc", "env.platform", "env.cpus", "env.threads", "started"} <= set(tags)
    assert child.data.metrics["duration_s"] >= 0


@pytest.mark.parametrize(
    ("stage", "experiment", "command"),
    [("evaluate@gan", "", "dvc repro"), ("evaluate@gan", "bold-eagle", "dvc exp run"), ("", "", "evaluate_gan.py -v")],
)
def test_a_pipeline_run_has_its_user_and_its_command(
    stage: str, experiment: str, command: str, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["stages/evaluate_gan.py", "-v"])
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    monkeypatch.setenv("DVC_STAGE", stage)
    monkeypatch.setenv("DVC_EXP_NAME", experiment)
    run_stages(params, "evaluate_gan")
    (parent,), (child,) = runs(repo)
    assert [run.data.tags["mlflow.source.name"] for run in (parent, child)] == [command, "stages/evaluate_gan.py"]
    for run in (parent, child):
        assert (run.data.tags["mlflow.source.type"], run.data.tags["mlflow.user"]) == ("LOCAL", "somebody")


def test_an_account_without_a_name_is_no_hindrance(repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unknown)
    run_stages(params, "report")
    assert "mlflow.user" not in runs(repo)[1][0].data.tags


def test_metrics_by_step_are_complete_and_in_order(repo: Path, params: Params) -> None:
    with tracked("train_vae", params) as run:
        for step in range(1, 701):
            run.log({"loss": 1 / step, "rate": float(step)}, step=step)
        run.log({"rate": 0.5})
        run_id = run.run_id
    client = MlflowClient(tracking_uri=f"sqlite:///{repo / 'mlflow.db'}")
    losses = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(step, 1 / step) for step in range(1, 701)]
    assert [m.step for m in client.get_metric_history(run_id, "rate")] == list(range(1, 701))
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "kept_rate")] == [(0, 0.5)]


def test_what_is_logged_at_an_epoch_is_at_once_in_the_file_of_curves(
    repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "curves.jsonl"
    with tracked("train_vae", params) as run:
        run.log({"val_loss": 3.0}, step=1)
        monkeypatch.setenv("GENBALANCE_CURVES", str(file))
        run.log({"val_loss": 2.5, "val_rate": 0.125}, step=2)
        assert file.read_text() == (
            '{"stage": "train_vae", "step": 2, "values": {"val_loss": 2.5, "val_rate": 0.125}}\n'
        )
        run.log({"test": 1.0})
        run.log({"val_loss": 2.0}, step=3)
        assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [2, 3]
        monkeypatch.setenv("GENBALANCE_CURVES", str(tmp_path / "nowhere" / "curves.jsonl"))
        run.log({"val_loss": 1.5}, step=4)
    assert runs(repo)[1][0].info.status == "FINISHED"


def test_metrics_of_a_failed_stage_are_kept(repo: Path, params: Params) -> None:
    def fail(run: Run) -> None:
        run.log({"loss": 3.0}, step=1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), tracked("train_vae", params) as run:
        fail(run)
    assert runs(repo)[1][0].data.metrics["loss"] == 3.0


def test_a_copy_that_dvc_deletes_leaves_everything_at_the_root(
    repo: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repo, copy, ignore=shutil.ignore_patterns("mlflow.db*"))
    (copy / "out.txt").write_text("out")
    (copy / "folder").mkdir()
    (copy / "folder/a.txt").write_text("a")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(repo))
    monkeypatch.setenv("DVC_EXP_NAME", "bold-eagle")
    with tracked("train_gan", params) as run:
        run.artifact(Path("out.txt"))
        run.artifact(Path("folder"), "figures")
        run.image("samples", np.zeros((20, 20), np.uint8), step=1)
        run.image("samples", np.zeros((20, 20, 3), np.uint8), step=2)
        folder = repo / "mlartifacts" / run.run_id / "artifacts"
    assert not {"mlflow.db", "mlruns", "mlartifacts"} & {path.name for path in copy.iterdir()}
    assert (folder / "out.txt").read_text() == "out"
    assert (folder / "figures/a.txt").read_text() == "a"
    assert sorted(path.name.split("+timestamp")[0] for path in (folder / "images").glob("*.png")) == [
        "grids~samples+step+1",
        "grids~samples+step+2",
    ]


def test_an_artifact_that_is_not_there_is_the_stages_mistake(repo: Path, params: Params) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"), tracked("report", params) as run:
        run.artifact(Path("nothing.txt"))


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
    assert len(name) == LONGEST_NAME
    assert name.endswith("…")


def test_a_store_that_cannot_be_used_is_an_error_in_a_line(
    repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI: .*does not answer"):
        keep_folder("mine", "compare", "comparison", folder)
