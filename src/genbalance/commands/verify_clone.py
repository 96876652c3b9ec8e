"""A fresh clone of one commit with an empty cache, and the pipeline run in it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from genbalance.errors import UserError
from genbalance.repository import environment, git, top

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 15.0  # seconds that an interrupted pipeline has to end by itself, for each way of telling it to
FOREIGN = ("DVC_", "MLFLOW_", "PYTHONPATH")  # what would lead a run of the clone elsewhere
RAW = Path("data/raw")


@contextmanager
def clone(repository: Path, commit: str, keep: bool) -> Iterator[Path]:
    """A temporary folder with ``commit`` of ``repository``, the project's folder, checked out, its DVC cache in it and
    empty; afterwards it is removed unless ``keep``, also when the block is ended by Ctrl-C, SIGTERM or SIGHUP. Yielded
    is the project in it.

    Raises:
        UserError: git cannot fetch the commit or check it out.
    """
    with _ended_by_signals():
        folder = Path(tempfile.mkdtemp(prefix="genbalance-verify-")).resolve()
        try:
            whole = top(repository)
            project = folder / repository.resolve().relative_to(whole)
            git("init", "--quiet", folder=folder)
            # a clone would bring no experiments; protocol 2 hands out any commit, whether a branch leads to it or not
            git("config", "protocol.version", "2", folder=folder)
            git("fetch", "--quiet", "--depth", "1", str(whole), commit, folder=folder)
            git("checkout", "--quiet", "--detach", commit, folder=folder)
            if (project / ".dvc").is_dir():  # a cache that the user's own settings of DVC share would not be empty
                (project / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
            yield project
        finally:
            if not keep:
                shutil.rmtree(folder)


def lend(repository: Path, folder: Path, data_path: Path) -> None:
    """Copies into the clone what the commit cannot hold and a stage would ask for or download: the files of data/raw
    and of ``data_path`` (data.path in params.yaml; an absolute one is found where it is).

    Raises:
        UserError: ``data_path`` is relative and leads out of the repository.
    """
    if ".." in data_path.parts:
        raise UserError(
            f"data.path: found {str(data_path)!r}; allowed for a clone: an absolute path, or one without .."
        )
    for place in (RAW, data_path):
        if place.is_absolute():
            continue
        for file in sorted((repository / place).rglob("*")):
            copy = folder / file.relative_to(repository)
            if file.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)


def reproduce(folder: Path) -> int:
    """Runs ``dvc repro`` in the clone with the present environment, its output on stderr; returns its exit code.

    Runs go to the clone's own MLflow store. However this ends, no process of it is left.
    """
    kept = {name: value for name, value in environment().items() if not name.startswith(FOREIGN)}
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "dvc", "repro"]
    # in a session of its own, so that Ctrl-C reaches it once, and from here
    process = subprocess.Popen(
        command, cwd=folder, env=kept | own, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
    )
    try:
        return process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        with suppress(ProcessLookupError):  # DVC killed from outside leaves its stage behind
            os.killpg(process.pid, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupts DVC and its stage, and waits until they have ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """The first signal ends the block as an exception; further ones do not keep it from ending in order."""
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
