"""Fake points are like real ones, come home like real ones, and leave the driver as it was."""

import os
import shutil
import sqlite3
from contextlib import closing

import psutil
import pytest

from genbalance.experiments.sweep_folder import SweepFolder
from genbalance.tracking.address import sqlite_address
from genbalance.tracking.store import open_store


@pytest.fixture
def fake(load):
    return load("fake_points")


@pytest.fixture
def small(fake, monkeypatch):
    """Points of a few files."""
    run = fake.FakeRun
    runs = run("", 2, 2, 1, 3, 4, (1, 10)), run("train_vae", 3, 7, 2, 2, 5, (2, 20), (2, 20))
    monkeypatch.setattr(fake, "RUNS", runs)
    monkeypatch.setattr(fake, "OUTS", ((2, 20), (1, 9)))
    return fake


def rows(file, query):
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def test_a_point_leaves_as_many_rows_as_the_real_one(fake, tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(tables, tmp_path)
    store = open_store(sqlite_address(tmp_path / "mlflow.db"), fake.EXPERIMENT)
    fake.log_point(store.client, store.experiment_id, "fake-1")
    for run in fake.RUNS:
        name = run.stage or "fake-1"
        for table, count in (
            ("metrics", run.values),
            ("latest_metrics", run.names),
            ("params", run.params),
            ("tags", run.tags),
        ):
            found = f"SELECT count(*) FROM {table} JOIN runs USING (run_uuid) WHERE runs.name = '{name}'"
            assert rows("mlflow.db", found) == [(count,)], (name, table)
    assert rows("mlflow.db", "SELECT count(*) FROM runs") == [(len(fake.RUNS),)]


def test_points_come_home_and_the_driver_keeps_no_file_open(small, tables, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_TRACKING"))]:
        monkeypatch.delenv(name)
    home, nodes, cache = small.make_repository(tmp_path / "home"), tmp_path / "nodes", tmp_path / "cache"
    monkeypatch.chdir(home)
    plan, sweep = small.plan_of(home, 4), SweepFolder(small.NAME)
    sweep.begin(plan)
    small.call(tmp_path, "git", "clone", "-q", str(home), str(nodes))
    small.make_experiments(nodes, sweep, plan)
    (sweep.path / "tables").mkdir()
    for place in (home, sweep.path / "tables"):
        shutil.copy(tables, place)
    opened = []
    for point in plan.points:
        small.make_parcel(nodes, sweep, plan, point.name)
    for point in plan.points:
        sweep.unpack(plan, point.name, cache)
        opened.append(psutil.Process().num_fds())
    assert opened[1] == opened[3]  # the first opened the home store
    names = {point.name for point in plan.points}
    assert sweep.done(plan) == names
    assert {name for (name,) in rows("mlflow.db", "SELECT name FROM runs WHERE name LIKE 'fake-%'")} == names
    assert rows("mlflow.db", "SELECT count(*) FROM runs") == [(4 * 2,)]
    assert len([path for path in (cache / "files/md5").glob("*/*") if path.is_file()]) == 4 * 3
    assert len([path for path in (home / "mlartifacts").rglob("*") if path.is_file()]) == 4 * (1 + 2 + 2)
    trees = small.call(home, "git", "for-each-ref", "--format=%(tree)", "refs/exps").split()
    assert len(set(trees)) == 4


def test_a_store_is_filled_with_copies_of_what_it_has(load, small, tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = shutil.copy(tables, tmp_path)
    store = open_store(sqlite_address(tmp_path / "mlflow.db"), small.EXPERIMENT)
    for name in ("fake-1", "fake-2"):
        small.log_point(store.client, store.experiment_id, name)
    before = rows(file, "SELECT count(*) FROM metrics")[0][0]
    load("scale").fill(tmp_path / "mlflow.db", 10, 2)
    assert rows(file, "SELECT count(*) FROM runs") == [(10 * 2,)]
    assert rows(file, "SELECT count(*) FROM metrics") == [(5 * before,)]
    assert len(store.search("")) == 10 * 2


def test_what_grows_evenly_is_summed_over_all_points(load):
    scale = load("scale")
    assert scale.growing(2.0, 2.0, 50) == pytest.approx(2 * scale.WHOLE)
    exact = sum(1 + number / 50 for number in range(scale.WHOLE))
    assert scale.growing(1.0, 2.0, 50) == pytest.approx(exact, rel=1e-3)


def test_a_store_is_measured_by_clients_of_its_own(load, tables, tmp_path, monkeypatch):
    scale = load("scale")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scale, "CLIENTS", (2,))
    monkeypatch.setenv(scale.ARTIFACT_ROOT, "elsewhere")  # which the benchmark names itself
    address = sqlite_address(shutil.copy(tables, tmp_path / "own.db")).raw
    (found,), size = scale.stored(tmp_path, 2, address)
    assert found.clients == 2
    assert found.points_per_second > 0
    assert found.server_ms != found.server_ms  # another's server
    assert size > 0
    values = scale.lines_of_store([found], size)
    assert [line.quantity.partition(":")[0] for line in values] == ["store"] * 3
