"""The process behind a run: one whose process has died is not under way, whatever its status says."""

import os
import platform
from contextlib import suppress
from functools import cache

import psutil

PROCESS = "genbalance.process"  # the tag of a run: which process logs to it
CLOCK_TOLERANCE = 5.0  # seconds by which two readings of a process's start may differ, when the clock is set meanwhile
DVC_STAGE = "DVC_STAGE"  # the variable that DVC sets for what it starts: the name of the stage


def this_process() -> str:
    """This process as a tag: host, number and start, so that a number that is used again means another process."""
    return _as_tag(psutil.Process())


@cache
def dvc_process() -> str:
    """The process of DVC that started this stage, in the form of :func:`this_process`; "" where a stage was started by
    hand. Call it before that process may have ended."""
    dvc = _dvc()
    return _as_tag(dvc) if dvc else ""


def dvc_has_ended() -> bool:
    """Whether the process of DVC that started this stage has ended; False where there was none. It asks the system for
    that very process, so that a clock that is set meanwhile ends no stage."""
    dvc = _dvc()
    if dvc is None:
        return False
    try:
        return not dvc.is_running() or dvc.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@cache
def dvc_command() -> list[str]:
    """The program and the arguments of that process; none where there is no such process."""
    with suppress(psutil.Error):
        return list(dvc.cmdline()) if (dvc := _dvc()) else []
    return []


def is_dead(process: str) -> bool:
    """Whether a process of this host, in the form of :func:`this_process`, has ended; False for one of another host, or
    for none, of which that is not known."""
    host, _, rest = process.partition("/")
    number, _, start = rest.partition("/")
    if not start or host != platform.node():
        return False
    try:
        alive = psutil.Process(int(number))
        return bool(abs(alive.create_time() - float(start)) > CLOCK_TOLERANCE or alive.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _as_tag(process: psutil.Process) -> str:
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


@cache
def _dvc() -> "psutil.Process | None":
    """The nearest ancestor without the stage's name in its environment: between it and this process there may be a
    shell, or whatever a user has put before the program."""
    stage = os.environ.get(DVC_STAGE)
    if not stage:
        return None
    for process in psutil.Process().parents():
        try:
            if process.environ().get(DVC_STAGE) != stage:
                return process
        except psutil.Error:  # somebody else's, or gone
            return None
    return None
