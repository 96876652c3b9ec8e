"""What waits in the spool arrives once, however often it is sent; here a SQLite file stands for the server."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from genbalance.params import Params
from genbalance.tracking import delivery, session
from genbalance.tracking.address import StoreAddress, store_address
from genbalance.tracking.settings import shown
from genbalance.tracking.spool import spool_address, spool_folder
from genbalance.tracking.store import open_store, store_lock


@pytest.fixture
def wait(repo: Path, params: Params, tables: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Runs a stage into the spool of the repository's store, and tells its run there."""
    monkeypatch.setattr(StoreAddress, "is_remote", property(lambda self: True))
    folder = spool_folder(store_address())
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes(tables.read_bytes())

    def run_stage(stage: str) -> str:
        store = open_store(spool_address(store_address()), "genbalance")
        line, run = session._open(store, stage, params, session.code_version(), session.lineage(stage), "")
        for epoch in (1, 2, 3):
            run.log({"loss": 1 / epoch}, step=epoch)
            run.image("samples", np.zeros((8, 8), np.uint8), step=epoch)
        run.headline({"fd_test": 1.5})
        run.tag({"dvc.out.models/x": "abc"})
        line.send(lambda client, run_id, _: client.set_terminated(run_id, "FINISHED"))
        return run.run_id

    return run_stage


def everything(repo: Path) -> list[tuple[object, ...]]:
    client = MlflowClient(store_address().raw)
    found = client.search_runs([client.get_experiment_by_name("genbalance").experiment_id])
    return sorted(
        (
            run.info.run_name,
            run.info.status,
            tuple(
                (p.step, p.value) for name in run.data.metrics for p in client.get_metric_history(run.info.run_id, name)
            ),
            len(run.data.params),
            run.data.tags.get("dvc.out.models/x"),
            tuple(sorted(path.name for path in (repo / "mlartifacts" / run.info.run_id).rglob("*.png"))),
        )
        for run in found
    )


def send(repo: Path) -> None:
    with store_lock(store_address()):
        delivery.deliver(store_address(), last=True)


def test_sent_twice_it_is_there_once(
    wait: Callable[[str], str], repo: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait("train_gan")
    with monkeypatch.context() as patched:  # as if it broke off before it could note that all has arrived
        patched.setattr(MlflowClient, "delete_run", lambda *_: None)
        patched.setattr(delivery.shutil, "rmtree", lambda *_: None)
        send(repo)
    once = everything(repo)
    assert len(once) == 2
    ((_, status, points, count, out, pictures),) = [row for row in once if row[0] == "train_gan"]
    assert (status, count, out) == ("FINISHED", len(shown(params.flat())), "abc")
    assert sorted(points) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert len(pictures) == 3
    send(repo)
    assert everything(repo) == once
    assert not spool_folder(store_address()).exists()


def test_a_run_whose_process_goes_on_waits_for_it(
    wait: Callable[[str], str], repo: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    going = wait("train_vae")
    spool = open_store(spool_address(store_address()), "genbalance")
    spool.client.update_run(going, status="RUNNING")
    send(repo)
    assert [row[:2] for row in everything(repo)] == [(everything(repo)[0][0], "FINISHED")]  # its parent alone
    spool.client.set_terminated(going, "KILLED")
    send(repo)
    assert "1 stored runs delivered" in capsys.readouterr().err
    assert sorted(row[1] for row in everything(repo)) == ["KILLED", "KILLED"]


def test_nothing_waits_nothing_happens(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    send(repo)
    assert capsys.readouterr() == ("", "")
