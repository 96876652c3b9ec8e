"""A small DVC repository for sweeps: two stages of a few lines, without torch and MLflow.

Each stage appends a line to the file ``RUNS``. Training diverges where β is above 5. With ``KILL``, a folder, the first
training of each β ≥ 3 kills the worker of Ray that it runs in; with ``GATE``, the folder of a :class:`signals.Gate`, a
training says that it began and waits. With ``GENBALANCE_STACK`` it meets others, and the model is the β of those that
it is given.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from committed import ROOT
from signals import LIMIT, hears_all
from small_repository import call, environment, toy_repository

PREPARE = """\
import os, re
from pathlib import Path
seed = re.search(r"(?m)^seed: (\\S+)", Path("params.yaml").read_text())[1]
with open(os.environ["RUNS"], "a") as runs:
    runs.write(f"prepare {seed}\\n")
Path("prepared").mkdir(exist_ok=True)
for name in "ab":
    Path("prepared", name).write_text(f"{name} {seed}")
"""
TRAIN = """\
import json, os, re, signal, sys
from pathlib import Path
text = Path("params.yaml").read_text()
beta, seed = (float(re.search(rf"(?m)^{key}: (\\S+)", text)[1]) for key in ("beta", "seed"))
with open(os.environ["RUNS"], "a") as runs:
    runs.write(f"train {beta:g} {seed:g}\\n")
if gate := os.environ.get("GATE"):
    Path(gate, "began").write_text(f"{os.getpid()}\\n")
    open(Path(gate, "go"), "rb", buffering=0).read(1)  # one line, and not those of others
if beta > 5:
    print("train_vae: diverged", file=sys.stderr)
    sys.exit(1)
if "GENBALANCE_STACK" in os.environ:
    from genbalance.training import rendezvous
    rendezvous.enter()
    _, given = rendezvous.meet("vae", "nowhere", beta)
    Path("model").write_text(" ".join(f"{each:g}" for each in sorted(given)))
    Path("metrics/evaluate_vae.json").write_text("{}")
    sys.exit()
if kill := beta >= 3 and os.environ.get("KILL"):
    import psutil
    flag = Path(kill, f"{beta:g}")
    workers = [each for each in psutil.Process().parents() if "ray::" in " ".join(each.cmdline())]
    if workers and not flag.exists():
        flag.write_text("")
        workers[0].kill()
        signal.pause()
Path("model").write_text(f"{beta:g} {seed:g} {Path('prepared/b').read_text()}")
Path("metrics/evaluate_vae.json").write_text(json.dumps({"fd_test": beta + 1 / beta, "rate": -beta}))
"""
PIPELINE = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    params: [seed]
    outs: [prepared]
  train_vae:
    cmd: python train.py
    deps: [train.py, prepared]
    params: [beta, seed]
    outs: [model]
    plots: [{metrics/evaluate_vae.json: {cache: false}}]
"""


def make_repository(place: Path) -> Path:
    """A repository with a run of the pipeline as its commit."""
    files = {"prepare.py": PREPARE, "train.py": TRAIN, "dvc.yaml": PIPELINE}
    return toy_repository(place, files, "/sweeps/", "/prepared", "/model")


def copied(repository: Path, place: Path) -> Path:
    """A copy whose sweeps nobody else runs."""
    return Path(shutil.copytree(repository, place))


def started(repository: Path, work: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    """`genbalance sweep …` in a process of its own; its clones are below ``work``."""
    own = environment() | {"GENBALANCE_WORK": str(work), "PYTHONPATH": str(ROOT / "src")} | variables
    program = [sys.executable, "-m", "genbalance", "sweep", *command]
    return subprocess.Popen(program, cwd=repository, env=own, stderr=-1, stdout=-1, text=True, preexec_fn=hears_all)


def sweep(repository: Path, work: Path, *command: str, code: int = 0, **variables: str) -> str:
    """What `genbalance sweep …` says."""
    process = started(repository, work, *command, **variables)
    try:
        printed, progress = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, progress = process.communicate(timeout=LIMIT)
    assert process.returncode == code, f"{command}\n{printed}\n{progress}"
    return printed + progress


def experiments(repository: Path) -> dict[str, str]:
    """The trees of experiments by name: what they hold, and not when it was made."""
    listed = call(repository, "git", "for-each-ref", "--format=%(tree) %(refname)", "refs/exps").splitlines()
    return {ref.rpartition("/")[2]: tree for tree, ref in (line.split(" ") for line in listed)}


def ran(runs: Path) -> list[str]:
    """What the stages wrote, sorted."""
    return sorted(runs.read_text().splitlines())
