"""Where a training keeps what it can go on from, and who may: one process a stage and folder, one a content.

``{root}/.checkpoints/<stage>/<key>/`` lies outside the outs and outside DVC's deleted copies, under the key of all that
goes into the training: what is found there comes from the same code, data and params. Its locks are the system's, which
frees them however a process ends.
"""

import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from genbalance.errors import UserError
from genbalance.repository import root

if TYPE_CHECKING:
    from filelock import BaseFileLock

PLACE = Path(".checkpoints")
CHECKPOINT = "checkpoint.safetensors"
RUN = "run_id"
KEPT = 8  # folders of a stage that nobody works in, at most
PATIENCE = 0.5  # seconds: a lock may be taken for a moment by somebody who looks whether it is
ENDING = 3.0  # seconds that a stage takes to end after its DVC was killed


class Workplace:
    """A stage's. Entered as a context, the stage is this process's alone in the working directory.

    Args:
        stage: its name, as in dvc.yaml with ``@`` as ``_``.

    Raises:
        UserError: on entry, when another process runs the stage in this working directory.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._here: BaseFileLock | None = None
        self._claimed: dict[str, BaseFileLock] = {}

    def __enter__(self) -> Self:
        """Takes the stage."""
        path = PLACE / f"{self._stage}.lock"
        path.parent.mkdir(exist_ok=True)
        self._here = _taken(path, ENDING)
        if self._here is None:
            raise UserError(f"{path}: another process runs this stage in this folder; wait for it, or stop it")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Gives the stage back, and the trainings that were claimed."""
        for lock in filter(None, [self._here, *self._claimed.values()]):
            lock.release(force=True)

    def claim(self, key: str) -> Path | None:
        """The folder of the training ``key``, which is this process's as long as this object lives; None where another
        process trains the same, and without a key."""
        if not key:
            return None
        folder = root() / PLACE / self._stage / key
        if key not in self._claimed:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = _taken(_lock_of(folder), PATIENCE)
            if lock is None:
                return None
            self._claimed[key] = lock
            folder.mkdir(exist_ok=True)
            _prune([other for other in folder.parent.iterdir() if other.is_dir() and other != folder])
        return folder

    def resumable(self, key: str) -> str:
        """The tracked run of the training ``key`` that was cut short, with the training claimed, so that nobody else
        goes on with it; "" where there is none to go on with."""
        if not key or not (root() / PLACE / self._stage / key / CHECKPOINT).exists():
            return ""
        folder = self.claim(key)
        if folder is None or not (folder / CHECKPOINT).exists():
            return ""
        try:
            return (folder / RUN).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):  # a new run is then the training's
            return ""

    def clear(self, key: str) -> None:
        """Removes what the training ``key`` kept: it has ended well. Left alone where another process trains the
        same."""
        if key and (root() / PLACE / self._stage / key).exists() and (folder := self.claim(key)):
            _remove(folder)
            self._claimed.pop(key).release(force=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _taken(path: Path, seconds: float) -> "BaseFileLock | None":
    """The lock at ``path``, held by this process; None where another process holds it for longer than ``seconds``."""
    from filelock import FileLock, Timeout

    # one object a path in a process: what is claimed for the tracked run is still this process's for its checkpoints
    lock = FileLock(path, timeout=-1, is_singleton=True)
    try:
        lock.acquire(timeout=seconds, poll_interval=0.02)
    except Timeout:
        return None
    return lock


def _prune(others: list[Path]) -> None:
    """Removes the oldest of the folders that nobody works in."""
    if len(others) <= KEPT:
        return
    free = 0
    for folder in sorted(others, key=_age):
        if lock := _taken(_lock_of(folder), 0):
            free += 1
            if free > KEPT:
                _remove(folder)
            lock.release()


def _age(folder: Path) -> float:
    try:
        return -folder.stat().st_mtime
    except FileNotFoundError:  # another process has just removed it
        return 0.0


def _remove(folder: Path) -> None:
    """Removes a folder and its lock, which the caller holds; the checkpoint first: without the files beside it, it must
    never be found. Whoever waits for the lock's file notices that it has gone (filelock looks)."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)
