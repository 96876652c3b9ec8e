"""`genbalance sweep run`, `resume`, `status`, `cancel` and `log`: through real Ray, git and DVC, also killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from committed import ROOT
from signals import LIMIT
from small_repository import call, genbalance
from swept import copied, experiments, make_repository, ran, started, sweep

from genbalance.experiments import child
from genbalance.experiments.clone_run import Job, add_to_cache, cached, run_point
from genbalance.experiments.points import Point
from genbalance.experiments.sweep_folder import Plan, SweepFolder

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="no Ray: pip install 'genbalance[cluster]'")


@pytest.fixture(scope="module")
def committed_run(tmp_path_factory):
    """Not to be written to: tests get copies."""
    return make_repository(tmp_path_factory.mktemp("swept") / "repository")


@pytest.fixture
def repository(committed_run, tmp_path):
    return copied(committed_run, tmp_path / "repository")


@pytest.fixture(scope="module")
def swept(committed_run, tmp_path_factory):
    """Four points on two workers, one of which is killed; two diverge: repository, its folder, output."""
    place = tmp_path_factory.mktemp("run")
    repository = copied(committed_run, place / "repository")
    (place / "killed").mkdir()
    command = ["run", "-n", "b", "-S", "beta=3,9", "-S", "seed=1,2", "--workers", "2"]
    variables = {"RUNS": str(place / "runs"), "KILL": str(place / "killed")}
    return repository, place, sweep(repository, place / "work", *command, code=1, **variables)


def log(repository, point):
    return genbalance(repository, "sweep", "log", "b", point)


@needs_ray
def test_each_point_is_an_experiment_with_the_bytes_of_dvc_exp_run_alone(swept, committed_run, tmp_path):
    repository, _, _ = swept
    alone = copied(committed_run, tmp_path / "alone")
    shutil.rmtree(alone / ".dvc" / "cache")
    call(alone, "dvc", "exp", "run", "--temp", "-n", "alone", "-S", "beta=3", "-S", "seed=2", RUNS=os.devnull)
    found = experiments(repository)
    assert sorted(found) == ["b-1", "b-2"]
    assert found["b-2"] == experiments(alone)["alone"]
    call(repository, "dvc", "exp", "apply", "b-2")
    assert (repository / "model").read_text() == "3 2 b 2"
    call(repository, "git", "reset", "-q", "--hard")


@needs_ray
def test_equal_stages_run_once_and_a_killed_worker_s_point_again(swept):
    _, place, printed = swept
    assert "sweep: b: 4 points: 6 stage runs in place of 8\n" in printed
    killed = sorted(path.name for path in (place / "killed").iterdir())
    assert killed == ["3"]
    wrote = ran(place / "runs")
    assert [line for line in wrote if line.startswith("prepare")] == ["prepare 1", "prepare 2"]
    once = sorted(f"train {beta} {seed}" for beta in (3, 9) for seed in (1, 2))
    assert sorted(set(wrote)) == sorted([*once, "prepare 1", "prepare 2"])
    assert len(wrote) == 7  # the killed one twice


@needs_ray
def test_a_failed_point_keeps_its_log_and_the_rest_goes_on(swept):
    repository, _, printed = swept
    assert re.search(r"sweep: b-3  beta=9 seed=1  failed: train_vae: diverged  b: ", printed)
    assert "train_vae: diverged\n" in log(repository, "3")
    assert log(repository, "b-3") == log(repository, "3")
    status = genbalance(repository, "sweep", "status", "b").splitlines()
    commit = call(repository, "git", "rev-parse", "HEAD")[:8]
    assert status[0] == f"b: 4 points of {commit}: 2 done, 0 running, 2 failed, 0 left"
    assert status[4] == "b-2    beta=3 seed=2  done"
    assert status[6] == "b-4    beta=9 seed=2  failed  train_vae: diverged"
    refused = genbalance(repository, "sweep", "log", "b", "7", succeeds=False)
    assert refused == "7: is no point; allowed: 1 … 4\n"


@needs_ray
def test_a_sweep_leaves_nothing_but_its_folder(swept):
    repository, place, _ = swept
    assert not call(repository, "git", "status", "--porcelain", "--untracked-files=all")
    left = {path.name for path in (repository / "sweeps" / "b").iterdir()}
    logs = {f"b-{n}.log" for n in range(1, 5)}
    assert left == {"commit.bundle", "lock", "sweep.json", "b-3.failed", "b-4.failed"} | logs
    (work,) = (place / "work").iterdir()
    assert {path.name for path in work.iterdir() if path.is_dir()} == {"raw", "site", "b-3", "b-4"}
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(place) in " ".join(each.info["cmdline"] or ())]


@needs_ray
def test_after_a_killed_driver_resume_runs_the_other_point_once(repository, tmp_path, gate):
    """The point that it had begun ends with it; the one that was done does not run again."""
    runs, work = tmp_path / "runs", tmp_path / "work"
    command = ["run", "-n", "k", "-S", "beta=2,3", "--workers", "1"]
    first = started(repository, work, *command, RUNS=str(runs), GATE=str(tmp_path))
    gate.begun(first)
    gate.open()
    stage = psutil.Process(gate.begun(first))  # of the second point
    running = genbalance(repository, "sweep", "status", "k").splitlines()
    assert re.search(rf": 1 done, 1 running, 0 failed, 0 left; run by process {first.pid} on ", running[0])
    first.kill()
    first.communicate(timeout=LIMIT)
    assert psutil.wait_procs([stage], timeout=60)[1] == []
    assert ": 1 done, 0 running, 0 failed, 1 left\n" in genbalance(repository, "sweep", "status", "k")
    sweep(repository, work, "resume", "k", RUNS=str(runs))
    assert ran(runs) == ["train 2 42", "train 3 42", "train 3 42"]
    assert sorted(experiments(repository)) == ["k-1", "k-2"]
    sweep(repository, work, "resume", "k", RUNS="")  # a stage would fail


@needs_ray
def test_cancel_stops_the_driver_and_its_points(repository, tmp_path, gate):
    command = ["run", "-n", "c", "-S", "beta=2,3", "--workers", "1"]
    driver = started(repository, tmp_path / "work", *command, RUNS=str(tmp_path / "runs"), GATE=str(tmp_path))
    stage = psutil.Process(gate.begun(driver))
    assert "c: is running already (process" in sweep(repository, tmp_path / "work", "resume", "c", code=1)
    assert genbalance(repository, "sweep", "cancel", "c") == "c: stopped\n"
    assert "sweep: interrupted; `genbalance sweep resume c` goes on from there" in driver.communicate(timeout=LIMIT)[1]
    assert driver.returncode == 128 + signal.SIGTERM
    assert not stage.is_running()
    assert genbalance(repository, "sweep", "cancel", "c") == "c: is not running\n"
    assert not experiments(repository)


# Without Ray


def job(repository, tmp_path, name="s-1", settings=("beta=2", "seed=3"), **others):
    commit = call(repository, "git", "rev-parse", "HEAD").strip()
    ref = f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    variables = {"RUNS": str(tmp_path / "runs")}
    return Job("repository", name, settings, commit, ref, ".", ("t", "t@t"), variables, **others)


def plan_of(job):
    return Plan("s", job.commit, (Point(job.name, job.settings),), "", 0, 1, 0)


def bundle(repository):
    place = repository.parent / "bundle"
    call(repository, "git", "bundle", "create", "-q", str(place), "HEAD")
    return place.read_bytes


def nothing(_):
    pass


def test_another_machine_s_parcel_brings_experiment_cache_and_log_home(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBALANCE_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(repository)
    point = job(repository, tmp_path)
    failure, parcel = run_point(point, bundle(repository), nothing, nothing)
    assert failure == ""
    assert run_point(point, bundle(repository), nothing, nothing) == ("", parcel)  # does not run again
    assert ran(tmp_path / "runs") == ["prepare 3", "train 2 3"]

    folder = SweepFolder("s")
    folder.path.mkdir(parents=True)
    shutil.move(parcel, folder.parcel("s-1"))
    folder.unpack(plan_of(point), "s-1", repository / ".dvc" / "cache")
    assert folder.done(plan_of(point)) == {"s-1"}
    assert "Running stage 'train_vae'" in folder.log("s-1").read_text()
    assert {path.name for path in folder.path.iterdir()} == {"s-1.log"}
    call(repository, "dvc", "exp", "apply", "s-1")
    assert (repository / "model").read_text() == "2 3 b 3"
    call(repository, "dvc", "exp", "run", "--temp", "-S", "beta=2", "-S", "seed=3", RUNS="")  # all in the run cache


def test_what_is_home_already_does_not_travel(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBALANCE_WORK", str(tmp_path / "work"))
    cache = repository / ".dvc" / "cache"
    known = cached(cache, (repository / "dvc.lock").read_text())
    assert {name.partition("/")[0] for name in known} == {"files", "runs"}
    assert {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()} == known
    point = job(repository, tmp_path, settings=("beta=2",), known=frozenset(known))

    def bring(there):
        shutil.copytree(cache, tmp_path / "copy")
        add_to_cache(tmp_path / "copy", there)

    _, parcel = run_point(point, bundle(repository), bring, nothing)
    assert ran(tmp_path / "runs") == ["train 2 42"]
    with tarfile.open(parcel) as tar:
        travels = [name for name in tar.getnames() if name.startswith("cache/")]
    assert [name.split("/")[1] for name in travels] == [
        "files",
        "files",
        "runs",
    ]  # model and metrics, and the run that made them


def test_a_point_that_fails_says_why_and_runs_again(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBALANCE_WORK", str(tmp_path / "work"))
    cache = repository / ".dvc" / "cache"
    point = job(repository, tmp_path, settings=("beta=9",), cache=str(cache), log=str(tmp_path / "log"))
    for _ in range(2):
        failure, output = run_point(point, bundle(repository), nothing, nothing)
        assert (failure, output) == ("train_vae: diverged", tmp_path / "log")
    assert ran(tmp_path / "runs") == ["train 9 42"] * 2


def test_downloads_are_lent_to_the_clone(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBALANCE_WORK", str(tmp_path / "work"))

    def raw(folder):
        folder.mkdir()
        (folder / "images").write_text("downloaded")

    run_point(job(repository, tmp_path, settings=("beta=9",)), bundle(repository), nothing, raw)
    assert (tmp_path / "work" / "repository" / "s-1" / "clone" / "data/raw/images").read_text() == "downloaded"


PARENT = """\
import os, sys
from pathlib import Path
from genbalance.experiments.child import run_dvc
run_dvc([], Path("."), os.environ, Path("log"), os.open("lock", os.O_CREAT), outlives=sys.argv[1] == "outlives")
"""
FAKE = """\
import os
with open("began", "w") as began:  # a file that is closed by its destructor swallows Ctrl-C there
    began.write(f"{os.getpid()}\\n")
open("go").readline()
"""


@pytest.mark.parametrize("outlives", [True, False])
def test_dvc_ends_with_a_killed_parent_unless_it_outlives_it(tmp_path, gate, outlives):
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc" / "__init__.py").write_text("")
    (tmp_path / "dvc" / "__main__.py").write_text(FAKE)
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    command = [sys.executable, "-c", PARENT, "outlives" if outlives else ""]
    parent = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    dvc = psutil.Process(gate.begun(parent))
    parent.kill()
    parent.wait()
    if outlives:
        gate.open()
    assert psutil.wait_procs([dvc], timeout=60)[1] == []
    log = (tmp_path / "log").read_text()
    assert ("KeyboardInterrupt" in log) is not outlives


def test_the_last_line_is_the_stage_s_own():
    assert child.last_line("> python x\ntrain: diverged\n\nERROR: failed to reproduce 'x'\n", 1) == "train: diverged"
    assert child.last_line("", 3) == "exit code 3"


def test_what_cannot_be_run_is_refused_in_one_line_before_anything_is_written(repository, monkeypatch):
    def refused(*given):
        printed = genbalance(repository, "sweep", *given, succeeds=False)
        assert len(printed.splitlines()) == 1
        return printed

    if find_spec("ray"):
        assert refused("run", "-n", "s", "-S", "beta=1,5000").startswith("-S beta=5000: beta: found 5000")
        (repository / "train.py").write_text("# changed\n")
        assert refused("run", "-n", "s", "-S", "beta=1").startswith(
            "train.py: is modified (1 such files); a sweep runs"
        )
    monkeypatch.setitem(sys.modules, "ray", None)
    expected = "the Python package ray is not installed; `pip install 'genbalance[cluster]'`\n"
    assert refused("run", "-n", "s", "-S", "beta=1") == expected
    for command in (["status"], ["resume"], ["cancel"]):
        assert refused(*command, "none") == "none: is no sweep here; allowed: one that was begun\n"
    assert refused("log", "none", "1") == "none: is no sweep here; allowed: one that was begun\n"
    assert not (repository / "sweeps").exists()


@needs_ray
@pytest.mark.parametrize(("workers", "groups"), [("0", ["2 3 4"]), ("2", ["2 3", "4"])])
def test_points_that_run_side_by_side_train_together(workers, groups, repository, tmp_path):
    command = ["run", "-n", "b", "-S", "beta=2,3,4", "--stacked", "--workers", workers]
    said = sweep(repository, tmp_path / "work", *command, RUNS=os.devnull)
    assert re.findall(r"b: (\d) trainings? in one process\n", said) == [str(len(group.split())) for group in groups]
    models = []
    for name in experiments(repository):
        call(repository, "dvc", "exp", "apply", name)
        models.append((repository / "model").read_text())
        call(repository, "git", "reset", "-q", "--hard")
    assert sorted(filter(None, models)) == groups
    assert len(models) == 3


@pytest.mark.parametrize("other", [["--slurm", ""], ["--address", "auto"]])
def test_trainings_are_stacked_on_this_machine_alone(other, repository):
    command = ["sweep", "run", "-n", "b", "-S", "beta=2,3", "--stacked", *other]
    said = genbalance(repository, *command, succeeds=False)
    assert said == f"--stacked: is given with {other[0]}; allowed: without, on this machine\n"
    assert not (repository / "sweeps").exists()


@needs_ray
def test_a_name_is_used_once(repository, monkeypatch):
    from genbalance.experiments import cluster

    monkeypatch.chdir(repository)
    folder = cluster.begin("s", ["beta=1,2"], 0, "", 0)
    plan = json.loads((folder.path / "sweep.json").read_text())
    assert [point["settings"] for point in plan["points"]] == [["beta=1"], ["beta=2"]]
    assert folder.plan() == Plan.of_json(plan)
    again = genbalance(repository, "sweep", "run", "-n", "s", "-S", "beta=1", succeeds=False)
    assert again == "-n s: is a sweep already; allowed: another name, or `genbalance sweep resume s`\n"
    shutil.rmtree(folder.path)
    call(repository, "git", "update-ref", folder.ref(folder_plan := Plan.of_json(plan), "s-2"), "HEAD")
    assert folder.done(folder_plan) == {"s-2"}
    taken = genbalance(repository, "sweep", "run", "-n", "s", "-S", "beta=1,2", succeeds=False)
    assert taken.startswith("-n s: s-2 is an experiment already; allowed: another name, or `dvc exp remove s-2`")
    assert Path(folder.path).exists() is False
