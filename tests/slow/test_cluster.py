"""Sweeps on Ray: many points, killed workers and drivers, two nodes, and the whole pipeline with its MLflow runs."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from signals import LIMIT
from small_repository import call, fresh_repository, left, runs
from swept import experiments, make_repository, ran, started, sweep

pytest.importorskip("ray", reason="no Ray: pip install 'genbalance[cluster]'")
pytestmark = pytest.mark.slow

BETAS = ("1", "2", "2.5", "3", "3.5", "4")  # whose stages above 3 kill their worker once
SEEDS = ("1", "2", "3", "4")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def test_24_points_on_4_workers_with_two_of_them_and_the_driver_killed(
    repository: Path, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "3.5").write_text("")  # so that two workers are killed, those of the first β = 3 and 4
    work, lines = tmp_path / "work", tmp_path / "runs"
    variables = {"RUNS": str(lines), "KILL": str(tmp_path / "killed")}
    settings = ["-S", f"beta={','.join(BETAS)}", "-S", f"seed={','.join(SEEDS)}"]
    driver = started(repository, work, "run", "-n", "many", *settings, "--workers", "4", **variables)
    while len(experiments(repository)) < 5:
        assert driver.poll() is None, driver.communicate(timeout=LIMIT)
        time.sleep(0.2)
    driver.kill()
    driver.communicate(timeout=LIMIT)
    before = set(experiments(repository))
    printed = sweep(repository, work, "resume", "many", **variables)
    found = experiments(repository)
    assert len(found) == 24
    assert before < set(found)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["3", "3.5", "4"]
    wrote = ran(lines)
    assert len(set(wrote)) == 24 + len(SEEDS)
    assert [wrote.count(f"prepare {seed}") for seed in SEEDS] == [1] * len(SEEDS)
    ended = [name for name in before if f"  {name}  " in printed]
    assert not ended
    alone = experiments(repository) | {}
    call(
        repository, "dvc", "exp", "run", "--temp", "-f", "-n", "alone", "-S", "beta=3", "-S", "seed=4", RUNS=os.devnull
    )
    assert experiments(repository)["alone"] == alone["many-16"]
    tell(
        f"24 points on 4 workers, two workers and the driver killed: {len(before)} experiments before the driver was "
        f"killed, {len(found)} in the end; {len(wrote)} stage runs, {len(wrote) - 28} of them after a kill"
    )


def test_100_points_on_8_workers_lose_none(repository: Path, tmp_path: Path, tell: Callable[[str], None]) -> None:
    lines = tmp_path / "runs"
    betas = ",".join(f"{n / 25:g}" for n in range(1, 101))
    began = time.monotonic()
    sweep(repository, tmp_path / "work", "run", "-n", "h", "-S", f"beta={betas}", "--workers", "8", RUNS=str(lines))
    assert len(experiments(repository)) == 100
    assert len(ran(lines)) == len(set(ran(lines))) == 99  # β = 1 is the commit's own run
    tell(f"100 points on 8 workers: 100 experiments, none twice, in {time.monotonic() - began:.0f} s")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of two nodes on this machine, with a folder each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("GENBALANCE_WORK", str(tmp_path / "here"))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    nodes.add_node(num_cpus=2, env_vars={"GENBALANCE_WORK": str(tmp_path / "there")})
    yield nodes.address
    nodes.shutdown()


def test_points_on_another_node_come_home_and_find_what_others_made(
    repository: Path, cluster: str, tmp_path: Path
) -> None:
    command = ["run", "-n", "n", "-S", "beta=2,3,4", "-S", "seed=1,2", "--address", cluster]
    sweep(repository, tmp_path / "here", *command)
    assert len(experiments(repository)) == 6
    assert ran(tmp_path / "runs") == sorted(
        [*(f"train {beta} {seed}" for beta in (2, 3, 4) for seed in (1, 2)), "prepare 1", "prepare 2"]
    )
    assert list((tmp_path / "there").glob("*/cache/files/md5/*/*"))  # it had points
    assert not list((tmp_path / "here").glob("*/cache"))
    assert not list(tmp_path.glob("*here/*/n-*"))  # no clone is left on either
    for number in range(1, 7):  # whichever node made it
        call(repository, "git", "reset", "-q", "--hard")
        call(repository, "dvc", "exp", "apply", f"n-{number}")
        beta, seed = (2, 3, 4)[(number - 1) // 2], (number - 1) % 2 + 1
        assert (repository / "model").read_text() == f"{beta} {seed} b {seed}"


def test_the_pipeline_s_runs_come_home_as_if_they_had_run_there(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Two values of β: parents, children, points and pictures are those of the same experiments run here."""
    repository = fresh_repository(tmp_path / "repository")
    call(repository, "dvc", "repro")
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", "reproduced")
    before = {run["id"] for each in runs(repository) for run in each}
    sweep(repository, tmp_path / "work", "run", "-n", "s", "-S", "beta=2,4", "--workers", "2")
    swept = [[run for run in each if run["id"] not in before] for each in runs(repository)]
    assert sorted(run["name"] for run in swept[0]) == ["s-1 beta=2", "s-2 beta=4"]
    children = sorted(run["name"] for run in swept[1])
    assert children == sorted(["train_vae", "evaluate_vae", "report"] * 2)
    assert {run["status"] for each in swept for run in each} == {"FINISHED"}

    # the same again alone, in a copy without what the sweep made
    call(repository, "dvc", "exp", "run", "--temp", "--force", "-n", "alone", "-S", "beta=4", "train_vae")
    known = before | {run["id"] for each in swept for run in each}
    (alone,) = [run for run in runs(repository)[1] if run["id"] not in known and run["name"] == "train_vae"]
    parents = {run["id"]: run["name"] for run in swept[0]}
    (mine,) = [run for run in swept[1] if run["name"] == "train_vae" and parents[run["parent"]] == "s-2 beta=4"]
    assert left(repository, mine["id"]) == left(repository, alone["id"])
    found = experiments(repository)
    assert {"s-1", "s-2"} <= found.keys()
    tell(f"two experiments of the pipeline on Ray: {len(swept[0])} parents, {len(children)} children, all points once")


def test_a_sweep_leaves_no_process(repository: Path, tmp_path: Path) -> None:
    sweep(repository, tmp_path / "work", "run", "-n", "p", "-S", "beta=2", RUNS=os.devnull)
    place = str(tmp_path)
    assert not [each for each in psutil.process_iter(["cmdline"]) if place in " ".join(each.info["cmdline"] or ())]
