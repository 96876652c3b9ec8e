"""A training stage as the program that it is, in a folder of its own, watched from outside."""

import itertools
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import peak_mib
from genbalance.runtime.errors import UserError

ROOT = Path(__file__).parents[1]
DECISIVE = ("src", "stages", "dvc.yaml")  # of which a stage tells the tracker the version
FOREIGN = ("DVC_", "MLFLOW_", "GIT_")


@dataclass(frozen=True)
class Course:
    """How a program went: seconds of the whole, of the ``training`` in it, of what is beside it at each epoch
    (validation, pictures, tracking) and once (start, imports, loading, the last files)."""

    seconds: float
    training: float
    an_epoch: float
    fixed: float
    images_per_second: float
    peak_mib: float


def course(whole: float, lines: list[tuple[float, float]], images: int, peak: float) -> Course:
    """Out of when each epoch's line came and the images/s that it names, an epoch being so many ``images``."""
    took = [images / rate for _, rate in lines]
    between = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(lines)]
    an_epoch = statistics.median(gap - own for gap, own in zip(between, took[1:], strict=True))
    rate = statistics.median(rate for _, rate in lines)
    return Course(whole, sum(took), an_epoch, whole - sum(took) - len(took) * an_epoch, rate, peak)


def ran(folder: Path, section: str, epochs: int, images: int) -> Course:
    """Runs stages/train_<section>.py in ``folder``, where data/prepared is; an epoch sees so many ``images``.

    Raises:
        UserError: it fails.
    """
    for name in DECISIVE:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(re.sub(r"\bepochs: \d+", f"epochs: {epochs}", text), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    lines, last = list[tuple[float, float]](), ""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, f"stages/train_{section}.py"],
        cwd=folder,
        env=kept | {"PYTHONPATH": "src", "DVC_ROOT": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as stream:
        for line in stream:
            last = line.strip() or last
            if found := re.search(r"(\d+) images/s", line):
                lines.append((time.perf_counter(), float(found[1])))
    _, status, usage = os.wait4(process.pid, 0)  # the usage of this child alone
    whole = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(lines) < 2:
        raise UserError(f"train_{section} fails: {last or 'no reason given'}")
    return course(whole, lines, images, peak_mib(usage))
