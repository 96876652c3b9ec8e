"""Runs are copied from the project's store to another, each once, however often and from wherever it is tried."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity
from stores import PROFILE

from genbalance.experiments.lineage import sync as sync_command
from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.tracking import sync, tracked
from genbalance.tracking.address import sqlite_address
from genbalance.tracking.processes import PROCESS
from genbalance.tracking.store import Store, open_store
from genbalance.tracking.sync import COPIED, ORIGIN, Copier, copy_all


@pytest.fixture
def other(tmp_path: Path, tables: Path) -> Path:
    """A second store, with its tables and nothing in them."""
    folder = tmp_path / "other"
    folder.mkdir()
    return Path(shutil.copy(tables, folder))


def log_stage(stage: str, params: Params, epochs: int = 3) -> str:
    with tracked(stage, params) as run:
        for epoch in range(1, epochs + 1):
            run.log({"loss": 1 / epoch, "rate": float(epoch)}, step=epoch)
            run.image("samples", np.full((8, 8), epoch, np.uint8), step=epoch)
        run.dataset("digits", "abc", "bundled", PROFILE)
        run.headline({"fd_test": 1.5})
        run.artifact(Path("params.yaml"), "inputs")
        run.tag({"dvc.out.models/x": "abc"})
    return run.run_id


def opened(file: Path) -> Store:
    return open_store(sqlite_address(file), "genbalance")


def artifacts(client: MlflowClient, run_id: str, folder: str = "") -> list[tuple[str, int | None]]:
    found = client.list_artifacts(run_id, folder)
    below = [entry for file in found if file.is_dir for entry in artifacts(client, run_id, file.path)]
    return sorted([(file.path, file.file_size) for file in found if not file.is_dir] + below)


def content(file: Path) -> list[tuple[object, ...]]:
    """All that a store has of its runs, whatever their ids are there."""
    store = opened(file)
    named = {run.info.run_id: run.info.run_name for run in store.search("")}

    def everything(run: Entity) -> tuple[object, ...]:
        own = (ORIGIN, COPIED, PROCESS, "genbalance.dvc", "mlflow.parentRunId")
        return (
            run.info.run_name,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            named.get(run.data.tags.get("mlflow.parentRunId", "")),
            sorted(run.data.params.items()),
            sorted((name, value) for name, value in run.data.tags.items() if not name.startswith(own)),
            sorted(
                (name, point.step, point.timestamp, point.value)
                for name in run.data.metrics
                for point in store.client.get_metric_history(run.info.run_id, name)
            ),
            artifacts(store.client, run.info.run_id),
            [given.dataset.name for given in run.inputs.dataset_inputs],
        )

    return sorted(map(everything, store.search("")), key=str)


def test_a_copy_has_all_that_the_original_has(repo: Path, params: Params, other: Path) -> None:
    for stage in ("prepare", "train_gan"):
        log_stage(stage, params)
    assert copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=True) == 3
    assert content(other) == content(repo / "mlflow.db")


@pytest.mark.parametrize("mark", [True, False])
def test_a_second_copy_adds_nothing(mark: bool, repo: Path, params: Params, other: Path) -> None:
    log_stage("prepare", params)
    here, there = sqlite_address(repo / "mlflow.db"), sqlite_address(other)
    copy_all(here, there, mark)
    before = content(other)
    copy_all(here, there, mark)
    assert content(other) == before
    assert copy_all(here, there, mark=True) == (0 if mark else 2)  # what is marked is not even asked for


def test_a_read_source_is_not_written(repo: Path, params: Params, other: Path) -> None:
    log_stage("prepare", params)
    with closing(sqlite3.connect(repo / "mlflow.db")) as store, store:
        store.execute("DELETE FROM experiment_tags")  # without our view, which is another reason to write
    before = (repo / "mlflow.db").read_bytes()
    copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=False)
    assert (repo / "mlflow.db").read_bytes() == before


def test_copies_come_back_as_what_they_are(repo: Path, params: Params, other: Path, tmp_path: Path) -> None:
    """Here, to another store, to a third, and here again: every run stays one."""
    log_stage("prepare", params)
    third = tmp_path / "third/mlflow.db"
    third.parent.mkdir()
    shutil.copy(other, third)
    chain = [repo / "mlflow.db", other, third, repo / "mlflow.db"]
    before = content(repo / "mlflow.db")
    for source, target in pairwise(chain):
        copy_all(sqlite_address(source), sqlite_address(target), mark=False)
    assert content(third) == content(other) == content(repo / "mlflow.db") == before


def test_an_old_copy_adds_nothing_to_its_original_and_changes_nothing(repo: Path, params: Params, other: Path) -> None:
    with tracked("train_gan", params) as run:
        run.log({"loss": 1.0}, step=1)
        run.flush()
        Copier(opened(repo / "mlflow.db"), opened(other)).copy(run.store.client.get_run(run.run_id))
        run.log({"loss": 0.5}, step=2)
        run.tag({"mlflow.note.content": "mine"})
    before = content(repo / "mlflow.db")
    copy_all(sqlite_address(other), sqlite_address(repo / "mlflow.db"), mark=False)
    assert content(repo / "mlflow.db") == before
    copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=False)
    assert content(other) == before


def test_more_points_than_a_call_takes_are_copied(repo: Path, params: Params, other: Path) -> None:
    with tracked("train_gan", params) as run:
        for step in range(2500):
            run.log({"loss": float(step)}, step=step)
    copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=True)
    assert content(other) == content(repo / "mlflow.db")


def test_two_machines_runs_are_merged(
    repo: Path, params: Params, other: Path, monkeypatch: pytest.MonkeyPatch, tables: Path
) -> None:
    mine = log_stage("prepare", params)
    second = Path(shutil.copytree(repo, repo.with_name("second"), ignore=shutil.ignore_patterns("ml*")))
    shutil.copy(tables, second)
    monkeypatch.chdir(second)
    log_stage("report", params, epochs=5)
    moved = second.rename(second.with_name("brought over"))  # its artifacts' absolute paths are another machine's
    monkeypatch.chdir(repo)
    assert "2 runs copied from" in sync_command(moved / "mlflow.db", None)
    names = sorted(run.info.run_name for run in opened(repo / "mlflow.db").search("") if len(run.data.tags) > 0)
    assert [name for name in names if name in ("prepare", "report")] == ["prepare", "report"]
    (theirs,) = [run for run in opened(repo / "mlflow.db").search("") if run.info.run_name == "report"]
    assert (
        len(artifacts(opened(repo / "mlflow.db").client, theirs.info.run_id))
        == len(artifacts(opened(repo / "mlflow.db").client, mine)) + 4
    )  # two more epochs, a picture and its small one each
    before = content(repo / "mlflow.db")
    sync_command(moved / "mlflow.db", None)
    assert content(repo / "mlflow.db") == before


@pytest.mark.parametrize("call", ["log_batch", "log_inputs", "log_artifact", "set_terminated"])
def test_a_copy_that_breaks_off_anywhere_is_completed_by_the_next(
    call: str, repo: Path, params: Params, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the call has arrived and before its answer has: what is done twice is there once."""
    log_stage("prepare", params)
    here, there = sqlite_address(repo / "mlflow.db"), sqlite_address(other)
    expected = content(repo / "mlflow.db")
    whole = getattr(MlflowClient, call)
    calls = 0
    for breaking in range(1, 100):
        calls = 0

        def cut(client: MlflowClient, *given: object, breaking: int = breaking, **named: object) -> object:
            nonlocal calls
            answer = whole(client, *given, **named)
            calls += 1
            if calls == breaking:
                raise OSError("cut")
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(MlflowClient, call, cut)
            try:
                copy_all(here, there, mark=False)
                break
            except UserError:
                continue
    assert breaking > 1
    assert content(other) == expected


def test_a_run_under_way_is_copied_as_far_as_it_is(repo: Path, params: Params, other: Path) -> None:
    copier = Copier(opened(repo / "mlflow.db"), opened(other))
    with tracked("train_gan", params) as run:
        for epoch in (1, 2):
            run.log({"loss": 1 / epoch}, step=epoch)
            run.flush()
            copier.copy(run.store.client.get_run(run.run_id))
            (copy,) = [found for found in opened(other).search("") if found.info.run_name == "train_gan"]
            assert copy.info.status == "RUNNING"
            points = opened(other).client.get_metric_history(copy.info.run_id, "loss")
            assert [point.step for point in points] == list(range(1, epoch + 1))
    copier.copy(run.store.client.get_run(run.run_id))
    assert content(other) == content(repo / "mlflow.db")


def test_a_run_whose_process_lives_is_left_to_it(repo: Path, params: Params, other: Path) -> None:
    with tracked("train_gan", params):
        assert Copier(opened(repo / "mlflow.db"), opened(other)).copy_waiting() == 0
    assert Copier(opened(repo / "mlflow.db"), opened(other)).copy_waiting() == 2


def test_a_run_that_is_refused_keeps_no_other_from_being_copied(
    repo: Path, params: Params, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = log_stage("prepare", params)
    log_stage("report", params)
    copy = Copier.copy

    def refuse(copier: Copier, run: Entity) -> None:
        if run.info.run_id == first:
            raise UserError("too large")
        copy(copier, run)

    monkeypatch.setattr(Copier, "copy", refuse)
    with pytest.raises(UserError, match="too large"):
        copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=True)
    assert [run.info.run_name for run in opened(other).search("") if run.info.run_name in ("prepare", "report")] == [
        "report"
    ]


def test_a_child_without_its_parent_is_copied(repo: Path, params: Params, other: Path) -> None:
    log_stage("prepare", params)
    store = opened(repo / "mlflow.db")
    (parent,) = [run for run in store.search("") if run.info.run_name != "prepare"]
    store.client.delete_run(parent.info.run_id)
    assert copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=True) == 1


def test_a_copy_that_was_killed_and_is_finished_at_its_origin_is_finished_everywhere(
    repo: Path, params: Params, other: Path, tmp_path: Path, tables: Path
) -> None:
    """From here to another store and on from there, and the same once more after the run was resumed."""
    third = tmp_path / "third/mlflow.db"
    third.parent.mkdir()
    shutil.copy(tables, third)
    chain = [sqlite_address(file) for file in (repo / "mlflow.db", other, third)]
    with pytest.raises(KeyboardInterrupt), tracked("train_gan", params) as run:
        raise KeyboardInterrupt
    for source, target in pairwise(chain):
        copy_all(source, target, mark=False)
    assert {each.info.status for each in opened(third).search("")} == {"KILLED"}
    with tracked("train_gan", params, lambda _: run.run_id):
        pass
    for source, target in pairwise(chain):
        copy_all(source, target, mark=False)
    assert {each.info.status for each in opened(third).search("")} == {"FINISHED"}


def test_nothing_is_copied_to_a_new_store_by_the_marks_of_an_old_one(
    repo: Path, params: Params, other: Path, tables: Path
) -> None:
    """As when a server's database is made anew at the same address."""
    log_stage("prepare", params)
    here, there = sqlite_address(repo / "mlflow.db"), sqlite_address(other)
    assert copy_all(here, there, mark=True) == 2
    shutil.copy(tables, other)
    assert copy_all(here, there, mark=True) == 2


def test_a_pipeline_run_of_another_machine_gets_no_stage_of_this_one(
    repo: Path, params: Params, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_stage("prepare", params)
    copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")  # with copies, of the same code and params
    log_stage("report", params)
    (mine,) = [run for run in opened(other).search("") if run.info.run_name == "report"]
    (theirs,) = [run for run in opened(other).search("") if run.info.run_name == "prepare"]
    assert mine.data.tags["mlflow.parentRunId"] != theirs.data.tags["mlflow.parentRunId"]


@pytest.mark.parametrize("error", [RuntimeError("odd"), ModuleNotFoundError("no boto3"), OSError("cut")])
def test_nothing_that_goes_wrong_with_the_copies_fails_a_stage(
    error: Exception, server, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with tracked("train_gan", params) as run:
        monkeypatch.setattr(Copier, "copy", lambda *_: (_ for _ in ()).throw(error))
    assert run.store.client.get_run(run.run_id).info.status == "FINISHED"
    assert capsys.readouterr().err.count("copied at the next contact") == 1


def test_the_end_of_a_stage_waits_for_no_slow_server(
    server, repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setattr(sync, "WAIT_AT_END", 0.01)
    answered = threading.Event()
    with tracked("train_gan", params) as run:
        monkeypatch.setattr(Copier, "copy", lambda *_: answered.wait(60))
    assert run.store.client.get_run(run.run_id).info.status == "FINISHED"
    assert "is slow; what it has not got is copied at the next contact" in capsys.readouterr().err
    answered.set()


def test_the_logged_models_come_along(repo: Path, params: Params, other: Path) -> None:
    with tracked("train_gan", params) as run:
        made = run.store.client.create_logged_model(run.store.experiment_id, "gan", run.run_id, {"a": "b"}, {"c": "d"})
        (repo / "weights").write_text("1234")
        run.store.client.log_model_artifact(made.model_id, str(repo / "weights"), "files")
        run.store.client.finalize_logged_model(made.model_id, "READY")
    for _ in range(2):
        copy_all(sqlite_address(repo / "mlflow.db"), sqlite_address(other), mark=False)
    store = opened(other)
    (copy,) = store.client.search_logged_models([store.experiment_id])
    assert (copy.name, copy.params, copy.tags["a"], copy.status) == ("gan", {"c": "d"}, "b", "READY")
    (file,) = (other.parent / "mlartifacts").rglob("files/weights")
    assert file.read_text() == "1234"
    (trained,) = [found for found in store.search("") if found.info.run_name == "train_gan"]
    assert [model.model_id for model in trained.outputs.model_outputs] == [copy.model_id]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda repo: (repo / "none.db", None), "--from: .*none.db is no file"),
        (lambda repo: (repo / "mlflow.db", None), "--to: found .*mlflow.db, which is what is copied from"),
        (lambda repo: (repo / "mlflow.db", "localhost:5000"), "did you mean http://localhost:5000"),
    ],
)
def test_what_cannot_be_copied_is_refused(arguments: Callable, message: str, repo: Path) -> None:
    with pytest.raises(UserError, match=message):
        sync_command(*arguments(repo))
