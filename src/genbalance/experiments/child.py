"""DVC as a child process, whose output goes to a log.

`genbalance tune` and `genbalance sweep run` start experiments with it. Ray ships these functions to nodes by value
(:mod:`genbalance.experiments.cluster`), so they need the standard library and :mod:`genbalance.runtime` alone.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from genbalance.runtime.errors import in_a_line

GRACE = 15.0  # seconds that an interrupted pipeline has to end by itself, for each way of asking it to
POLL = 0.2  # seconds between two looks: Ray interrupts a task only between two of Python's instructions
NOISE = ("ERROR: failed to reproduce", "> ")  # lines of DVC that say less than the stage's own before them
# Ends the group of the process argv[1] once whoever holds the other end of its stdin is gone without a word. It is no
# child of that process: a worker of Ray that ends kills its children.
WATCH = f"""\
import os, signal, sys, time
if os.fork():
    os._exit(0)
if not sys.stdin.read():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(int(sys.argv[1]), number)
            for _ in range({int(GRACE * 20)}):
                time.sleep(0.05)
                os.killpg(int(sys.argv[1]), 0)
        except ProcessLookupError:
            break
"""


def run_dvc(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    lock: int,
    outlives: bool = False,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Runs a command of DVC; returns its exit code.

    Args:
        arguments: of DVC.
        folder: where it works.
        environment: its variables; this Python's folder is put first on its PATH.
        log: the file that its output is appended to.
        lock: a descriptor; the lock is held until the command has ended, also if this process is killed.
        outlives: whether the command goes on if this process is killed; otherwise it ends as with Ctrl-C.
        check: is called several times a second; if it raises, the command ends as with Ctrl-C.
    """
    own = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])}
    with log.open("ab") as output:
        # in a session of its own, so that Ctrl-C reaches it once, and from here
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=folder,
            env={**environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
            preexec_fn=_hears_all,
        )
    try:
        with nullcontext() if outlives else _watched(process.pid, lock):
            return _waited(process, check)
    except BaseException:
        stop(process)
        raise


def _hears_all() -> None:
    """Ray blocks Ctrl-C, a shell's background job ignores it, and both hand that down to what they start."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _watched(group: int, lock: int) -> Iterator[None]:
    """Processes of ``group`` end with the block, or if this process is killed in it."""
    watcher = subprocess.Popen(
        [sys.executable, "-S", "-c", WATCH, str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[lock],
    )
    watcher.wait()
    word = b"ended"
    try:
        yield
        with suppress(ProcessLookupError):
            os.killpg(group, 0)  # DVC that was killed from outside leaves its stage behind, which the watcher ends
            word = b""
    finally:
        watcher.communicate(word)  # until it has ended


def _waited(process: subprocess.Popen[bytes], check: Callable[[], None]) -> int:
    while True:
        check()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupts DVC and its stage, and waits until they have ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def last_line(output: str, code: int) -> str:
    """The last line that a stage printed, or that DVC did if it says more than that the stage failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(NOISE)]
    return in_a_line((own or lines or [f"exit code {code}"])[-1])
