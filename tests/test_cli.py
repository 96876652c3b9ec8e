"""The command line, run as a program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from committed import PARAMS

from genbalance.params import read_params

ROOT = Path(__file__).parents[1]


def genbalance(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-X", "importtime", "-m", "genbalance", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


COMMANDS = [
    "check",
    "evaluate",
    "compare",
    "sweep",
    "seeds",
    "tune",
    "ui",
    "cost",
    "runs",
    "commits",
    "sync",
    "verify",
    "status",
    "baseline",
    "generate",
    "interpolate",
    "traverse",
    "play",
    "explain",
    "usefulness",
    "register",
    "export",
]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    shutil.copy(PARAMS, tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS), ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = genbalance(*arguments)
    assert done.returncode == 0
    assert "typer" in imported(done)
    assert not {"torch", "mlflow", "numpy", "pandas"} & imported(done)


def test_the_first_help_does_not_wait_for_pydantic() -> None:
    assert "pydantic" not in imported(genbalance("--help"))


def test_help_lists_the_commands() -> None:
    done = genbalance("--help").stdout
    assert all(f"\n  {command} " in done for command in COMMANDS)


def test_check_shows_every_parameter(repo: Path) -> None:
    done = genbalance("check", cwd=repo)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(read_params(repo / "params.yaml").flat())
    assert not {"torch", "mlflow"} & imported(done)


def test_check_names_each_error_in_a_line_and_fails(repo: Path) -> None:
    text = (repo / "params.yaml").read_text().replace("beta: 1.0 ", "beta: high ").replace("seed: 42 ", "sead: 42 ")
    (repo / "params.yaml").write_text(text)
    done = genbalance("check", cwd=repo)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line.split(":")[1].strip() for line in lines] == ["beta", "seed", "sead"]


def test_check_without_params_says_where_to_run_it(tmp_path: Path) -> None:
    done = genbalance("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "run this at the repository's root" in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_refuses_in_a_line_before_torch_loads(repo: Path) -> None:
    done = genbalance("evaluate", "samples.npy", cwd=repo)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(lines) == 1
    assert lines[0].startswith("data/prepared")
    assert not {"torch", "mlflow", "dvc", "pandas", "matplotlib", "rich"} & imported(done)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["generate", "--out", "out", "--digit", "7", "--digits", "7"], "give either --digit or --digits, not both"),
        (["generate", "--out", "out", "--digit", "7"], "data/prepared"),
        (["interpolate", "--from", "3", "--to", "8", "--out", "way.jpg"], "--out: found 'way.jpg'"),
        (["traverse", "--digit", "3", "--out", "way.png"], "data/prepared"),
    ],
)
def test_drawing_refuses_in_a_line_before_torch_loads(repo: Path, arguments: list[str], found: str) -> None:
    done = genbalance(*arguments, "--model", "vae", cwd=repo)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(lines) == 1
    assert lines[0].startswith(found)
    assert not {"torch", "mlflow", "dvc", "pandas", "matplotlib", "rich"} & imported(done)


def test_no_command_s_summary_is_cut_off() -> None:
    listed = genbalance("--help").stdout.split("Commands:")[1].strip().splitlines()
    assert len(listed) > 10
    assert not [line for line in listed if not line.endswith((".", "?"))]
    assert not [line for line in listed if line.endswith("...")]


def test_a_family_from_another_folder_is_among_the_choices(tmp_path: Path) -> None:
    """Its record alone: no line of the package names it."""
    record = "from dataclasses import replace\n\nfrom genbalance.families.vae import FAMILY as VAE\n\n"
    (tmp_path / "toy.py").write_text(f'{record}FAMILY = replace(VAE, name="toy", title="Toy")\n')
    program = "import sys\nfrom genbalance import families\nfamilies.__path__.append(sys.argv[1])\n"
    program += "from genbalance.cli import app\napp(sys.argv[2:])"
    for command in ("generate", "interpolate", "traverse", "export", "register"):
        arguments = [sys.executable, "-c", program, str(tmp_path), command, "--help"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert "<gan|vae|vae_gan|toy>" in "".join(done.stdout.split()), command
