"""Small repositories of this project, and real commands in them, for the tests that need the whole pipeline."""

import contextlib
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from unittest import mock

from committed import PARAMS, ROOT

EVERY = ["prepare", "train_classifier", "train_gan", "train_vae", "evaluate@gan", "evaluate@vae", "report"]
OFF = ["train_vae_gan", "evaluate@vae_gan"]  # by default: their outs say so, and they have no run
SWEEPS = "metrics/sweeps"
SMALL = {
    r"threads: 2": "threads: 1",  # tests run two at a time
    r"limit: all": "limit: 400",
    r"epochs: \d+": "epochs: 2",
    r" samples: \d+": " samples: 100",
    r"resamples: \d+": "resamples: 10",
    r"importance_draws: \d+": "importance_draws: 3",
    r"inversion_images: \d+": "inversion_images: 6",
    r"inversion_steps: \d+": "inversion_steps: 3",
    r"kid_subsets: \d+": "kid_subsets: 10",
    r"kid_subset_size: \d+": "kid_subset_size: 40",
    r"width: 512": "width: 64",
}


def environment() -> dict[str, str]:
    """As a user's shell with the project's environment activated, and without what this test run brought along."""
    foreign = ("DVC_", "MLFLOW_", "AWS_", "PYTEST_", "GIT_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    identity = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | identity | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


def call(repository: Path, *command: str, succeeds: bool = True, **variables: str) -> str:
    own = environment() | variables
    done = subprocess.run(command, cwd=repository, env=own, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is succeeds, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def genbalance(repository: Path, *arguments: str, succeeds: bool = True, **variables: str) -> str:
    """What a command says in a repository, run in this process: one of its own takes seconds to import MLflow."""
    from typer.testing import CliRunner

    from genbalance.cli import app

    with contextlib.chdir(repository), mock.patch.dict(os.environ, environment() | variables, clear=True):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (done.exit_code == 0) is succeeds, f"genbalance {' '.join(arguments)}\n{done.output}"
    return done.output


def dvc(repository: Path, *arguments: str, succeeds: bool = True) -> str:
    """What a command of DVC's that runs no stage and prints no table says in a repository, run in this process: one of
    its own takes a second to import DVC."""
    from dvc.cli import main

    said = io.StringIO()
    with (
        contextlib.chdir(repository),
        mock.patch.dict(os.environ, environment(), clear=True),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        code = main([*arguments])
    assert (code == 0) is succeeds, f"dvc {' '.join(arguments)}\n{said.getvalue()}"
    return said.getvalue()


def run_programs(repository: Path, *stages: str) -> None:
    """Runs the programs of stages one after another without DVC, in one process: each of its own takes seconds to
    import torch and MLflow."""
    run_programs_of({repository: stages})


def run_programs_of(repositories: Mapping[Path, Sequence[str]]) -> str:
    """The same for the stages of several repositories; what they say."""
    program = (
        "import os, runpy, sys\n"
        "for folder, name in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    os.chdir(folder)\n"
        "    runpy.run_path(f'stages/{name}.py', run_name='__main__')"
    )
    pairs = [(str(folder), stage.replace("@", "_")) for folder, stages in repositories.items() for stage in stages]
    return call(next(iter(repositories)), sys.executable, "-c", program, *chain(*pairs), PYTHONPATH="src")


def stages_run(output: str) -> list[str]:
    """What `dvc repro` or `dvc exp run` says that it ran, in that order."""
    return re.findall(r"Running stage '(.+?)'", output)


def fresh_repository(place: Path) -> Path:
    """What git would clone of the project as it stands, with the defaults made small, as a commit of its own. It has
    no sweeps, whose figures take the report seconds."""
    listed = call(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    (place / SWEEPS).mkdir(parents=True)
    (place / SWEEPS / ".gitkeep").touch()
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(f"{SWEEPS}/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    text = PARAMS.read_text()
    for pattern, small in SMALL.items():
        text, changes = re.subn(pattern, small, text)
        assert changes, pattern
    (place / "params.yaml").write_text(text)
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "small"]):
        call(place, "git", *command)
    return place


def toy_repository(place: Path, files: Mapping[str, str], *ignored: str) -> Path:
    """A repository of a pipeline of a few lines, without torch and MLflow, with this project's params and a run of the
    pipeline as its commit; ``files`` are by name, and git leaves the ``ignored`` ones out."""
    (place / "metrics").mkdir(parents=True)
    for name, text in {**files, ".gitignore": "".join(f"{pattern}\n" for pattern in ignored)}.items():
        (place / name).write_text(text)
    shutil.copy(PARAMS, place)
    call(place, "git", "init", "-q", "-b", "main")
    dvc(place, "init", "-q")
    shutil.copy(ROOT / ".dvc" / "config", place / ".dvc")
    call(place, "dvc", "repro", "-q", RUNS=os.devnull)
    call(place, "git", "add", "-A")
    call(place, "git", "commit", "-qm", "run")
    return place


def runs(repository: Path, store: str = "mlflow.db") -> tuple[list[dict], list[dict]]:
    """The parents and the children in a store of the repository's."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{repository / store}")
    experiment = client.get_experiment_by_name("genbalance")
    found = [
        {
            "id": run.info.run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "parent": run.data.tags.get("mlflow.parentRunId"),
            "params": run.data.params,
            "metrics": run.data.metrics,
            "datasets": {given.dataset.name for given in run.inputs.dataset_inputs},
        }
        for run in client.search_runs([experiment.experiment_id])
    ]
    return [r for r in found if not r["parent"]], [r for r in found if r["parent"]]


Left = tuple[Counter[tuple[str, int]], Counter[str]]
"""What a run leaves: its points by metric and step, and its artifacts by name; without the machine's load, of which a
slower run has more points."""


def store(repository: Path, query: str) -> list[tuple[str, ...]]:
    """What a query to the repository's MLflow store gives."""
    with contextlib.closing(sqlite3.connect(repository / "mlflow.db")) as database:
        return database.execute(query).fetchall()


def left(repository: Path, run: str) -> Left:
    points = store(repository, f"SELECT key, step FROM metrics WHERE run_uuid = '{run}' AND key NOT LIKE 'system/%'")
    (folder,) = store(repository, f"SELECT artifact_uri FROM runs WHERE run_uuid = '{run}'")[0]
    root = Path(folder.removeprefix("file://"))
    files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    # MLflow's names of pictures end in a time and a random part: <key>%step%<step>%timestamp%<time>%<random>.png
    return Counter(points), Counter(re.sub(r"[%+]timestamp.*(?=\.\w+$)", "", file) for file in files)
