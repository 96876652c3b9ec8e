"""Eight queued experiments on four workers, from an empty store: all of each is there, and nothing twice."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_repository import call, fresh_repository, left, store

pytestmark = pytest.mark.slow

WORKERS = 4
BETAS = ("0.25", "0.5", "2", "3", "4", "6", "8", "16")
STAGES = {"train_vae", "evaluate_vae", "report"}  # what another β reruns
EPOCHS = 2  # of a small repository


def runs(repository: Path) -> tuple[dict[str, str], dict[str, dict[str, str]], list[str]]:
    """The parents' names by their ids; the ids of the children that ran, by parent and name, no name twice; and the
    names of the children that stand for a stage restored from DVC's cache."""
    names = dict(store(repository, "SELECT run_uuid, name FROM runs"))
    parents = dict(store(repository, "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"))
    restored = {run for (run,) in store(repository, "SELECT run_uuid FROM tags WHERE key = 'genbalance.restored'")}
    children: dict[str, dict[str, str]] = {run: {} for run in names if run not in parents}
    for run in parents.keys() - restored:
        assert names[run] not in children[parents[run]]
        children[parents[run]][names[run]] = run
    return {run: names[run] for run in children}, children, sorted(names[run] for run in restored)


def test_eight_queued_experiments_on_four_workers_leave_all_of_each_once(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    repository = fresh_repository(tmp_path)
    call(repository, "dvc", "repro")
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", "reproduced")
    ((parent, members),) = runs(repository)[1].items()
    others = sorted(members.keys() - STAGES)
    alone = {stage: left(repository, members[stage]) for stage in STAGES}  # what a stage leaves that nobody disturbs
    headline = set(left(repository, parent)[0])
    assert {step for key, step in alone["train_vae"][0] if key == "val_loss"} >= set(range(1, EPOCHS + 1))
    assert alone["train_vae"][1]
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")

    call(repository, "dvc", "exp", "run", "--queue", "-n", "sweep", "-S", f"beta={','.join(BETAS)}")
    call(repository, "dvc", "exp", "run", "--run-all", "--jobs", str(WORKERS))

    assert len(re.findall("Success", call(repository, "dvc", "queue", "status"))) == len(BETAS)
    parents, children, restored = runs(repository)
    assert sorted(parents.values()) == sorted(f"sweep-{n} beta={beta}" for n, beta in enumerate(BETAS, start=1))
    assert restored == others  # what no experiment had to run is logged once, whoever came first
    assert {status for (status,) in store(repository, "SELECT status FROM runs")} == {"FINISHED"}
    betas = store(repository, "SELECT run_uuid, value FROM params WHERE key = 'beta'")
    assert sorted(float(beta) for run, beta in betas if run in parents) == [float(beta) for beta in BETAS]
    points = files = 0
    for run, members in children.items():
        assert members.keys() == STAGES
        for stage, member in members.items():
            found = left(repository, member)
            assert found == alone[stage], (parents[run], stage)
            points += found[0].total()
            files += found[1].total()
        assert set(left(repository, run)[0]) == headline, parents[run]
    doubled = "SELECT 1 FROM metrics GROUP BY run_uuid, key, step HAVING count(*) > 1"
    assert not store(repository, doubled)
    tell(
        f"{len(BETAS)} queued experiments on {WORKERS} workers from an empty store: {len(parents)} parents, "
        f"{sum(map(len, children.values()))} children that ran with {points} points and {files} artifacts, "
        f"{len(restored)} restored; all FINISHED, none missing, none twice"
    )
