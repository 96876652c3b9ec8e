"""The project as a folder of a larger git repository: stages, experiments and commands, through real git and DVC."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from small_repository import PARAMS, ROOT, call, dvc, genbalance, runs

STAGE = """\
from pathlib import Path
from genbalance.runtime.io import write_json
from genbalance.runtime.stage import execute, publish

def main(params, run):
    Path("models").mkdir(exist_ok=True)
    Path("models/vae.safetensors").write_text(f"{params.beta} {params.seed}")
    Path("artifacts/train_vae").mkdir(parents=True, exist_ok=True)
    Path("artifacts/train_vae/curves.csv").write_text(f"epoch,train_loss\\n1,{params.beta}\\n")
    write_json(Path("metrics/evaluate_vae.json"), {"nelbo": 100 * params.beta + params.seed})
    publish(run, "train_vae", {"loss": params.beta + params.seed}, Path("models/vae.safetensors"), {"loss": "loss"})

execute("train_vae", main)
"""
PIPELINE = """\
stages:
  train_vae:
    cmd: sh stages/run train_vae
    params: [beta, seed]
    outs: [models/vae.safetensors, artifacts/train_vae]
    plots: [{metrics/train_vae.json: {cache: false}}, {metrics/evaluate_vae.json: {cache: false}}]
"""
SRC = {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Path:
    """A committed run, and experiments, each in a copy, in ``all/digits/vae``."""
    whole = tmp_path_factory.mktemp("all")
    place = whole / "digits" / "vae"
    (place / "stages").mkdir(parents=True)
    (place / "stages" / "train_vae.py").write_text(STAGE)
    (place / "metrics").mkdir()
    shutil.copy(ROOT / "stages" / "run", place / "stages")
    shutil.copytree(ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "dvc.yaml").write_text(PIPELINE)
    (place / ".gitignore").write_text("/mlflow.db*\n/mlartifacts/\n/.checkpoints/\n__pycache__/\n")
    shutil.copy(PARAMS, place)
    shutil.copy(tables, place)
    (place / "requirements.txt").write_text("")
    (whole / "params.yaml").write_text("another: project\n")
    call(whole, "git", "init", "-q", "-b", "main")
    dvc(place, "init", "-q", "--subdir")
    (place / ".dvc" / "config").write_text((ROOT / ".dvc" / "config").read_text())
    call(whole, "git", "add", "-A")
    call(whole, "git", "commit", "-qm", "code")
    call(place, "dvc", "repro", "-q")
    call(whole, "git", "add", "-A")
    call(whole, "git", "commit", "-qm", "run")
    call(place, "dvc", "exp", "run", "-q", "--temp", "-n", "seed-1", "-S", "seed=1")
    call(place, "dvc", "exp", "run", "-q", "--temp", "-n", "other", "-S", "beta=4")
    return place


def test_a_stage_tells_its_own_commit_and_its_own_changes(project: Path) -> None:
    head = call(project, "git", "rev-parse", "HEAD~1")[:8]
    parents, children = runs(project)
    assert {run["name"] for run in parents} >= {head, "seed-1 seed=1", "other beta=4"}
    assert {run["status"] for run in parents + children} == {"FINISHED"}


def test_nothing_lies_beside_the_project(project: Path) -> None:
    whole = project.parents[1]
    assert sorted(path.name for path in whole.iterdir()) == [".git", "digits", "params.yaml"]
    assert [path.name for path in (whole / "digits").iterdir()] == ["vae"]


def test_a_commit_leads_to_its_runs_and_back(project: Path) -> None:
    printed = genbalance(project, "runs", "other")
    (run,) = re.findall(r"^train_vae +([0-9a-f]{32}) ", printed, flags=re.MULTILINE)
    (line,) = genbalance(project, "commits", run).splitlines()[1:]
    assert " other " in line


def test_experiments_are_compared_and_aggregated(project: Path) -> None:
    printed = genbalance(project, "compare", "HEAD", "other", "--all")
    assert re.search(r"beta +1(\.0)? +4", printed)
    assert "train_vae.loss" in printed
    assert re.search(r"nelbo .* 101 +142", genbalance(project, "seeds", "HEAD,seed-1"))


def test_files_of_an_experiment_come_out_of_the_cache(project: Path) -> None:
    program = """
from genbalance.experiments.runs import cached_out, curves, find_commits
(commit,) = find_commits("other")
print(cached_out("other", commit, "models/vae.safetensors").decode(), curves(commit))
"""
    printed = call(project, sys.executable, "-c", program, **SRC)
    assert printed == "4.0 42 {'train_vae': b'epoch,train_loss\\n1,4.0\\n'}\n"


def test_a_commit_is_verified(project: Path) -> None:
    (project / "digits.txt").write_text("untracked")
    (project.parents[1] / "digits.txt").write_text("untracked, beside the project")
    printed = call(project, sys.executable, "-m", "genbalance", "verify", "other", **SRC)
    assert "the working tree is dirty (1 paths)" in printed
    assert re.search(r"other \([0-9a-f]{8}\): identical", printed)
