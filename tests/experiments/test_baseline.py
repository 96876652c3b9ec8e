"""Another kind of machine than the commit's: said, and made a baseline, so that DVC finds what it is asked for.

Through real git and DVC; a stage's bytes follow a variable here, as those of a real one follow the processor.
"""

import shutil
from pathlib import Path

import pytest
from small_repository import call, dvc, genbalance

TRAIN = """\
import json, os
machine = os.environ["MACHINE"]
open("model", "w").write(machine)
json.dump({"loss": float(machine == "one"), "machine": f"cpu {machine}"}, open("metrics/train.json", "w"))
"""
PIPELINE = """\
stages:
  train:
    cmd: python train.py
    params: [beta]
    outs: [model]
    plots: [{metrics/train.json: {cache: false}}]
  evaluate:
    cmd: cp model score
    deps: [model]
    outs: [score]
  draw:
    cmd: echo 0 > picture
    params: [beta]
    outs: [picture]
"""
HERE = {"MACHINE": "two"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``published``, a commit with results of machine one, and ``clone``, a clone of it that was run on
    machine two. Not to be written to: tests get copies."""
    folder = tmp_path_factory.mktemp("made")
    place, clone = folder / "published", folder / "clone"
    (place / "metrics").mkdir(parents=True)
    (place / "dvc.yaml").write_text(PIPELINE)
    (place / "train.py").write_text(TRAIN)
    (place / "params.yaml").write_text("beta: 1\nseed: 42\n")
    call(place, "git", "init", "-q", "-b", "main")
    dvc(place, "init", "-q")
    call(place, "dvc", "repro", "-q", MACHINE="one")
    call(place, "git", "add", "-A")
    call(place, "git", "commit", "-qm", "published")
    call(folder, "git", "clone", "-q", str(place), str(clone))
    call(clone, "dvc", "repro", "-q", **HERE)
    return folder


@pytest.fixture
def published(made: Path, tmp_path: Path) -> Path:
    """A commit with results of machine one."""
    return Path(shutil.copytree(made / "published", tmp_path / "published"))


@pytest.fixture
def clone(made: Path, tmp_path: Path) -> Path:
    """A clone of it, run on machine two."""
    return Path(shutil.copytree(made / "clone", tmp_path / "clone"))


def test_a_baseline_of_a_project_in_a_subfolder_holds_its_results_alone(tmp_path: Path) -> None:
    place = tmp_path / "all" / "digits"
    (place / "metrics").mkdir(parents=True)
    (place / "dvc.yaml").write_text(PIPELINE)
    (place / "train.py").write_text(TRAIN)
    (place / "params.yaml").write_text("beta: 1\nseed: 42\n")
    (place.parent / "params.yaml").write_text("another: project\n")
    call(place.parent, "git", "init", "-q", "-b", "main")
    dvc(place, "init", "-q", "--subdir")
    call(place, "dvc", "repro", "-q", MACHINE="one")
    call(place.parent, "git", "add", "-A")
    call(place.parent, "git", "commit", "-qm", "published")
    call(place, "dvc", "repro", "-q", "-f", **HERE)
    (place.parent / "params.yaml").write_text("another: change\n")
    call(place.parent, "git", "add", "params.yaml")
    assert "2 of 3 stages have other results" in genbalance(place, "status")
    assert "on the branch baseline" in genbalance(place, "baseline")
    held = call(place, "git", "show", "--name-only", "--format=", "HEAD").split()
    assert held == ["digits/dvc.lock", "digits/metrics/train.json"]
    assert call(place, "git", "status", "--porcelain") == "M  params.yaml\n"


def test_results_of_the_commit_are_said_to_be_so(published: Path) -> None:
    printed = genbalance(published, "status")
    assert "are those of commit" in printed
    assert "byte for byte" in printed
    assert "nothing to commit as a baseline" in genbalance(published, "baseline", succeeds=False)


def test_other_bytes_are_said_in_two_lines_with_the_commits_machine_and_what_to_do(clone: Path) -> None:
    first, second = genbalance(clone, "status").splitlines()
    assert first.startswith("2 of 3 stages have other results")  # what does not compute is the same everywhere
    assert "(cpu one)" in first
    assert "`make baseline`" in second


def test_after_a_baseline_the_way_back_from_an_experiment_keeps_every_out(clone: Path) -> None:
    assert "on the branch baseline" in genbalance(clone, "baseline")
    assert "byte for byte" in genbalance(clone, "status")
    assert not call(clone, "git", "status", "--porcelain")
    call(clone, "dvc", "exp", "run", "-q", "-n", "b4", "-S", "beta=4", **HERE)
    call(clone, "git", "restore", "-SW", ".")
    dvc(clone, "checkout", "-q")
    assert [(clone / out).read_text().strip() for out in ("model", "score", "picture")] == ["two", "two", "0"]
    assert "up to date" in dvc(clone, "status")
    printed = genbalance(clone, "compare", "HEAD", "b4", "--all")
    assert "machine" not in printed


def test_without_one_a_comparison_names_the_machines(clone: Path) -> None:
    call(clone, "dvc", "exp", "run", "-q", "--temp", "-n", "b4", "-S", "beta=4", **HERE)
    printed = genbalance(clone, "compare", "HEAD", "b4", "--all")
    assert "a: cpu one" in printed
    assert "b: cpu two" in printed
    assert "`make baseline`" in printed


def test_a_second_baseline_gets_a_branch_of_its_own_and_one_on_it_none(clone: Path) -> None:
    call(clone, "git", "branch", "baseline")
    assert "on the branch baseline-2" in genbalance(clone, "baseline")
    call(clone, "dvc", "repro", "-q", "-f", MACHINE="three")
    assert "on the branch baseline-2" in genbalance(clone, "baseline")


def test_what_an_experiment_changed_is_not_taken_for_another_machine(published: Path) -> None:
    call(published, "dvc", "exp", "run", "-q", "-S", "beta=4", MACHINE="one")
    assert "since params, data or code do: train, draw, evaluate" in genbalance(published, "status")


def test_a_baseline_holds_no_other_change(clone: Path) -> None:
    (clone / "params.yaml").write_text("beta: 1\nseed: 42\n# a thought\n")
    printed = genbalance(clone, "baseline", succeeds=False)
    assert printed.startswith("params.yaml: differs from commit")
    assert call(clone, "git", "branch", "--show-current").strip() == "main"


def test_without_one_what_dvc_checkout_removes_comes_back_from_the_run_cache(clone: Path) -> None:
    """What docs/troubleshooting.md says: DVC asks its run cache only where dvc.lock has no entry."""
    call(clone, "git", "restore", "-SW", ".")
    assert "Checkout failed" in call(clone, "dvc", "checkout", succeeds=False)
    assert not (clone / "model").exists()
    (clone / "dvc.lock").unlink()
    printed = call(clone, "dvc", "repro")  # where the stages cannot run: there is no MACHINE
    assert "Running stage" not in printed
    assert [(clone / out).read_text().strip() for out in ("model", "score", "picture")] == ["two", "two", "0"]
