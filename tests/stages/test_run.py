"""How dvc.yaml starts a stage's program."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_repository import ROOT

from genbalance.params import read_yaml

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish", "tcsh", "csh") if shutil.which(shell)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The launcher, and a stage that tells which module it got and by which python."""
    (tmp_path / "stages").mkdir()
    shutil.copy(ROOT / "stages" / "run", tmp_path / "stages")
    (tmp_path / "stages" / "toy.py").write_text("import sys, mine; print(mine.__file__, sys.executable, sys.argv)")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mine.py").write_text("")
    return tmp_path


def start(folder: Path, shell: str = "sh", **variables: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DVC_"))} | variables
    command = [shutil.which(shell), "-c", "sh stages/run toy"]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)


def programs(place: Path, **texts: str) -> str:
    """A PATH with sh and these programs alone."""
    place.mkdir(parents=True)
    (place / "sh").symlink_to(shutil.which("sh"))
    for name, text in texts.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    return str(place)


def test_the_commands_are_words_that_every_shell_reads_alike() -> None:
    for name, stage in read_yaml(ROOT / "dvc.yaml")["stages"].items():
        assert re.fullmatch(r"sh stages/run \w+(\$\{item\.family\})?", stage["cmd"]), name
        assert "stages/run" in stage["deps"], name


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stage_runs_on_the_code_of_its_own_folder(shell: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = start(folder, shell, PATH=path, PYTHONPATH=str(ROOT / "src"))
    assert done.stdout == f"{folder / 'src/mine.py'} {sys.executable} ['stages/toy.py']\n"


@pytest.mark.parametrize("found", [{}, {"python": f'exec {sys.executable} -I -S "$@"'}], ids=["none", "a bare one"])
def test_without_an_activated_environment_that_of_the_project_is_taken(found: dict[str, str], folder: Path) -> None:
    bare = programs(folder / "bin", **found)
    programs(folder / "original/.venv/bin", python=f'exec {sys.executable} "$@"')
    done = start(folder, PATH=bare, DVC_ROOT=str(folder / "original"))
    assert done.stdout.startswith(str(folder / "src/mine.py")), done.stderr


def test_without_any_environment_a_line_says_so(folder: Path) -> None:
    done = start(folder, PATH=programs(folder / "bin"))
    assert done.returncode == 1
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert done.stderr.startswith("toy: found no python with the project's packages; activate")
