"""What the machine refuses is a line; what the program does wrong stays a traceback."""

import shutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from committed import PARAMS
from safetensors.numpy import save_file
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.runtime.errors import EXTRAS, UserError, machine_errors
from genbalance.runtime.io import whole_file, whole_folder

ROOT = Path(__file__).parents[2]
HUGE = 1 << 60
MACHINES = {
    "a file that is not there": (lambda: Path("nowhere/at.all").read_text(), "nowhere/at.all: No such file or direc"),
    "a file in a folder's place": (lambda: Path("file/inner").mkdir(), "file/inner: Not a directory"),
    "a full disk": (lambda: write(Path("/dev/full")), "No space left on device"),
    "memory": (
        lambda: bytearray(HUGE),
        "the memory does not suffice; take fewer or smaller images, or smaller batches",
    ),
    "memory of NumPy": (lambda: np.empty(1 << 56), "the memory does not suffice (Unable to allocate"),
    "memory of torch": (lambda: torch.empty(1 << 52), "the memory does not suffice ("),
    "tensors": (lambda: save_file({"a": np.zeros(3)}, "nowhere/a"), "Error while serializing: I/O error: No such file"),
    "a package": (
        lambda: import_module("no_such_package.inner"),
        "the Python package no_such_package is not",
    ),
}
MISTAKES = {
    "a division": (lambda: 1 // 0, ZeroDivisionError),
    "a module of our own": (lambda: import_module("genbalance.no_such_module"), ModuleNotFoundError),
    "a shape": (lambda: torch.zeros(2) @ torch.zeros(3), RuntimeError),
    "an end of the reader": (lambda: fail(BrokenPipeError(32, "Broken pipe")), BrokenPipeError),
}


def write(path: Path) -> None:
    with path.open("w") as file:
        file.write("x")


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("case", MACHINES)
def test_what_the_machine_refuses_is_a_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    refused, line = MACHINES[case]
    with pytest.raises(UserError) as caught, machine_errors():
        refused()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_of_the_program_keeps_its_traceback(case: str) -> None:
    wrong, kind = MISTAKES[case]
    with pytest.raises(kind), machine_errors():
        wrong()


def test_a_users_mistake_is_told_as_it_is() -> None:
    with pytest.raises(UserError, match="beta: no"), machine_errors():
        raise UserError("beta: no")


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_a_disk_that_is_full_is_told_of_the_file_that_it_was_for(whole, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, whole(tmp_path / "out"):
        write(Path("/dev/full"))
    assert caught.value.filename == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_command_tells_what_the_machine_refuses_in_a_line(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tables, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://somebody:secret@localhost/runs")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    result = CliRunner().invoke(app, ["sync"])
    assert result.exit_code == 1
    assert result.stderr == "the Python package psycopg is not installed; `pip install 'genbalance[postgresql]'`\n"


def test_every_extra_that_is_advised_is_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= extras.keys()
