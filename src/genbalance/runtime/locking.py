"""Which process may run a stage in a folder, and which may train what: one of each at a time.

A training keeps its checkpoint in ``{root}/.checkpoints/<stage>/<key>/``, outside the outs and outside DVC's deleted
copies; the key identifies code, data and params. The locks are the system's, which frees them however a process ends.
"""

import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import root

if TYPE_CHECKING:
    from filelock import BaseFileLock

CHECKPOINTS = Path(".checkpoints")
CHECKPOINT = "checkpoint.pt"
RUN = "run_id"
KEPT = 8  # unlocked folders of a stage, at most
CLAIM_TIMEOUT = 0.5  # seconds: another process may hold a lock for a moment to look whether it is free
STAGE_TIMEOUT = 3.0  # seconds that a stage takes to end after its DVC was killed


class StageLock:
    """The lock of a stage in the working directory, and of the trainings that this process claims.

    Args:
        stage: its name, as in dvc.yaml with ``@`` as ``_``.

    Raises:
        UserError: on entry as a context, when another process runs the stage in this working directory.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._here: BaseFileLock | None = None
        self._claimed: dict[str, BaseFileLock] = {}

    def __enter__(self) -> Self:
        """Locks the stage."""
        path = CHECKPOINTS / f"{self._stage}.lock"
        path.parent.mkdir(exist_ok=True)
        self._here = _acquired(path, STAGE_TIMEOUT)
        if self._here is None:
            raise UserError(f"{path}: another process runs this stage in this folder; wait for it, or stop it")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Releases the stage and the claimed trainings."""
        for lock in filter(None, [self._here, *self._claimed.values()]):
            lock.release(force=True)

    def claim(self, key: str) -> Path | None:
        """The folder of the training ``key``, locked as long as this object lives; None where another process trains
        the same, and without a key."""
        if not key:
            return None
        folder = self._folder(key)
        if key not in self._claimed:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = _acquired(_lock_file(folder), CLAIM_TIMEOUT)
            if lock is None:
                return None
            self._claimed[key] = lock
            folder.mkdir(exist_ok=True)
            _prune([other for other in folder.parent.iterdir() if other.is_dir() and other != folder])
        return folder

    def resumable(self, key: str) -> str:
        """The id of the tracked run of the killed training ``key``, which is claimed; "" where there is none."""
        if not key or not (self._folder(key) / CHECKPOINT).exists():
            return ""
        folder = self.claim(key)
        if folder is None or not (folder / CHECKPOINT).exists():
            return ""
        try:
            return (folder / RUN).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):  # the training then has a new run
            return ""

    def clear(self, key: str) -> None:
        """Removes the checkpoint of the training ``key``, which has ended well, unless another process trains the
        same."""
        if key and self._folder(key).exists() and (folder := self.claim(key)):
            _remove(folder)
            self._claimed.pop(key).release(force=True)

    def _folder(self, key: str) -> Path:
        return root() / CHECKPOINTS / self._stage / key


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _acquired(path: Path, seconds: float) -> "BaseFileLock | None":
    """The lock at ``path``, held by this process; None where another process holds it for longer than ``seconds``."""
    from filelock import FileLock, Timeout

    # one object a path in a process: a training claimed for the tracked run is also claimed for its checkpoints
    lock = FileLock(path, timeout=-1, is_singleton=True)
    try:
        lock.acquire(timeout=seconds, poll_interval=0.02)
    except Timeout:
        return None
    return lock


def _prune(others: list[Path]) -> None:
    """Removes the oldest unlocked folders."""
    if len(others) <= KEPT:
        return
    free = 0
    for folder in sorted(others, key=_age):
        if lock := _acquired(_lock_file(folder), 0):
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
    """Removes a folder and its lock, which the caller holds; the checkpoint first, since it must never be found without
    the files beside it. A process that waits for the lock's file notices its removal (filelock looks)."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    _lock_file(folder).unlink(missing_ok=True)
