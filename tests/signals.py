"""Programs that hear the signals that a test sends them, and tests that do not wait without end."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT = 600  # seconds, for what takes a few: what has not happened then never will


def hears_all() -> None:
    """For ``preexec_fn``: a shell's background job ignores Ctrl-C, and one under `nohup` a hangup, and both hand that
    down to what they start."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Gate:
    """Two fifos in a folder. A program writes its process id as a line into ``began`` and reads a line from ``go``."""

    def __init__(self, folder: Path) -> None:
        for name in ("began", "go"):
            os.mkfifo(folder / name)
        self._began, self._go = (os.open(folder / name, os.O_RDWR) for name in ("began", "go"))

    def begun(self, starter: subprocess.Popen[str]) -> int:
        """The process id of the next program; the test fails if its starter ends before that."""
        ended = os.pidfd_open(starter.pid)
        ready, _, _ = select.select([self._began, ended], [], [], LIMIT)
        os.close(ended)
        if self._began not in ready:
            starter.kill()
            raise AssertionError(f"no program began: {starter.communicate(timeout=LIMIT)}")
        return int(b"".join(iter(lambda: os.read(self._began, 1), b"\n")))

    def open(self) -> None:
        """Lets one program go on."""
        os.write(self._go, b"\n")

    def close(self) -> None:
        for each in (self._began, self._go):
            os.close(each)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """In the test's folder."""
    gate = Gate(tmp_path)
    yield gate
    gate.close()
