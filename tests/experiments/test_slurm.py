"""`genbalance sweep run --slurm`: scripts and arrays, through a stand-in for `sbatch` that runs an array here, and
through a SLURM of two nodes on this machine."""

import os
import re
import shutil
import sys
from pathlib import Path

import psutil
import pytest
from servers import slurm
from signals import LIMIT
from small_repository import call, dvc, genbalance
from swept import copied, experiments, make_repository, ran

from genbalance.experiments.cluster import Stages
from genbalance.experiments.points import Point
from genbalance.experiments.slurm import waves

__all__ = ["slurm"]

SBATCH = f"""\
#!{sys.executable}
import os, re, subprocess, sys
from pathlib import Path
place = Path(__file__).parent
calls = place / "calls"
with calls.open("a") as file:
    file.write(" ".join(sys.argv[1:-1]) + "\\n")
script = sys.argv[-1]
tasks = re.search(r"(?m)^#SBATCH --array=([0-9,]+)", Path(script).read_text())[1].split(",")
own = os.environ | {{"SLURM_JOB_ID": "1"}}
running = [subprocess.Popen(["sh", script], env=own | {{"SLURM_ARRAY_TASK_ID": task}}) for task in tasks]
for task in running:
    task.wait()
print(f"{{99 + len(calls.read_text().splitlines())}};cluster")
"""


@pytest.fixture(scope="module")
def committed_run(tmp_path_factory):
    """A repository with a run of the pipeline. Not to be written to: tests get copies."""
    return make_repository(tmp_path_factory.mktemp("swept") / "repository")


@pytest.fixture
def repository(committed_run, tmp_path):
    return copied(committed_run, tmp_path / "repository")


@pytest.fixture
def programs(tmp_path):
    """A folder with the stand-in, and with what else a sweep calls: a SLURM of this machine is not asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh"):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "sbatch").write_text(SBATCH)
    (folder / "sbatch").chmod(0o755)
    return folder


def variables(tmp_path, programs):
    return {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent)]),
        "RUNS": str(tmp_path / "runs"),
        "GENBALANCE_WORK": str(tmp_path / "work"),
    }


def test_no_two_points_of_a_wave_make_the_same_stage():
    points = [Point(f"p{n}", ()) for n in range(4)]
    of = {"p0": {"a", "x"}, "p1": {"a", "y"}, "p2": {"b", "x"}, "p3": {"k", "z"}}
    stages = Stages({name: frozenset(keys) for name, keys in of.items()}, frozenset("k"))
    names = [[point.name for point in wave] for wave in waves(points, stages, [])]
    assert names == [["p0", "p3"], ["p1", "p2"]]
    assert [[point.name for point in wave] for wave in waves(points[1:], stages, ["p0"])] == [["p1", "p2", "p3"]]


def test_arrays_leave_their_results_in_the_sweep_s_folder(repository, programs, tmp_path):
    """One point diverges; status brings the others home; resume submits it alone."""
    own = variables(tmp_path, programs)
    given = ["run", "-n", "s", "-S", "beta=2,9", "-S", "seed=1,2", "--workers", "3", "--slurm", "--time=2:00 -p 'a b'"]
    printed = genbalance(repository, "sweep", *given, **own)
    assert "sweep: s: 4 points: 6 stage runs in place of 8\n" in printed
    assert re.findall(r"sweep: job (\d+): (.*)\n", printed) == [("100", "s-1, s-2"), ("101", "s-3, s-4")]
    expected = ["--parsable --time=2:00 -p a b", "--parsable --time=2:00 -p a b --dependency=afterany:100"]
    assert (programs / "calls").read_text().splitlines() == expected
    array = (repository / "sweeps/s/array-1.sh").read_text()
    assert "#SBATCH --array=1,2%3\n#SBATCH --cpus-per-task=2\n" in array
    assert not experiments(repository)
    assert "s: 4 points of " in (status := genbalance(repository, "sweep", "status", "s", **own))
    assert ": 2 done, 0 running, 2 failed, 0 left\n" in status
    once = ["prepare 1", "prepare 2", "train 2 1", "train 2 2", "train 9 1", "train 9 2"]
    assert ran(tmp_path / "runs") == once
    assert sorted(experiments(repository)) == ["s-1", "s-2"]
    dvc(repository, "exp", "apply", "s-2")
    assert (repository / "model").read_text() == "2 2 b 2"
    assert "job 102: s-3, s-4" in genbalance(repository, "sweep", "resume", "s", **own)
    assert ran(tmp_path / "runs") == sorted([*once, "train 9 1", "train 9 2"])
    assert "train_vae: diverged" in genbalance(repository, "sweep", "log", "s", "3")


def test_a_login_node_without_slurm_is_named(repository, programs, tmp_path):
    (programs / "sbatch").unlink()
    own = variables(tmp_path, programs)
    printed = genbalance(repository, "sweep", "run", "-n", "s", "-S", "beta=2", "--slurm", "", succeeds=False, **own)
    assert printed.splitlines()[-1] == "sbatch: is not on the PATH; SLURM's login node has it"
    given = ["-S", "beta=2", "--slurm", "", "--address", "auto"]
    refused = genbalance(repository, "sweep", "run", "-n", "t", *given, succeeds=False)
    assert refused == "--slurm: is given with --address; allowed: one of them\n"


@pytest.fixture
def on_slurm(slurm, tmp_path):
    """The environment of a user of the cluster."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "RUNS": str(tmp_path / "runs"), "GENBALANCE_WORK": str(tmp_path / "work")}
    yield slurm.environment | own
    slurm.call("scancel", "--full", "--name=s")


def jobs(printed):
    return re.findall(r"sweep: job (\d+):", printed)


def test_a_cluster_s_points_are_experiments_with_the_bytes_of_dvc_exp_run_alone(repository, slurm, on_slurm, tmp_path):
    """The second array has what the first made; the point that diverges is submitted again, and it alone."""
    given = ["run", "-n", "s", "-S", "beta=2,9", "-S", "seed=1,2", "--slurm", "--time=10"]
    submitted = jobs(genbalance(repository, "sweep", *given, **on_slurm))
    slurm.wait(*submitted)
    assert len(submitted) == 2
    assert ": 2 done, 0 running, 2 failed, 0 left\n" in genbalance(repository, "sweep", "status", "s", **on_slurm)
    once = ["prepare 1", "prepare 2", "train 2 1", "train 2 2", "train 9 1", "train 9 2"]
    assert ran(tmp_path / "runs") == once
    again = genbalance(repository, "sweep", "resume", "s", **on_slurm)
    assert re.findall(r"sweep: job \d+: (.*)\n", again) == ["s-3, s-4"]
    found = experiments(repository)
    assert sorted(found) == ["s-1", "s-2"]
    for name in found:
        dvc(repository, "exp", "remove", "-q", name)
    settings = ["-S", "beta=2", "-S", "seed=2"]
    call(repository, "dvc", "exp", "run", "--temp", "-n", "alone", "--force", *settings, RUNS=os.devnull)
    assert experiments(repository)["alone"] == found["s-2"]


def test_points_that_wait_run_or_were_killed_are_told_apart(repository, slurm, on_slurm, tmp_path, gate):
    """Of three points two run at once; one of these is killed, as at its time limit, and the third takes its place."""
    given = ["run", "-n", "s", "-S", "beta=2,3,4", "-S", "seed=42", "--slurm", "", "--workers", "2"]
    own = on_slurm | {"GATE": str(tmp_path)}
    (job,) = jobs(genbalance(repository, "sweep", *given, **own))
    programs = [psutil.Process(gate.begun(slurm.node)) for _ in range(2)]
    assert ": 0 done, 2 running, 0 failed, 1 left\n" in genbalance(repository, "sweep", "status", "s", **own)
    assert "0 of 3 points done, 3 queued" in genbalance(repository, "sweep", "resume", "s", **own)
    killed = next(each for each in programs if "s-1" in Path(each.cwd()).parts)
    slurm.call("scancel", f"{job}_1")
    gate.begun(slurm.node)
    killed.wait(LIMIT)
    for _ in range(2):
        gate.open()
    slurm.wait(job)
    status = genbalance(repository, "sweep", "status", "s", **own)
    assert ": 2 done, 0 running, 1 failed, 0 left\n" in status
    assert "SLURM ended it; see its log" in status
    assert ran(tmp_path / "runs") == ["train 2 42", "train 3 42", "train 4 42"]
    (again,) = jobs(genbalance(repository, "sweep", "resume", "s", **own))
    gate.begun(slurm.node)
    assert "s: stopped" in genbalance(repository, "sweep", "cancel", "s", **own)
    slurm.wait(again)
    assert ": 2 done, 0 running, 0 failed, 1 left\n" in genbalance(repository, "sweep", "status", "s", **own)
