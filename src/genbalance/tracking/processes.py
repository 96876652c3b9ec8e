"""Which process stands behind a run, so that one whose process died can be told from one that is under way."""

import os
import platform
from contextlib import suppress
from functools import cache

import psutil

TAG = "genbalance.process"
ABOUT = 5.0  # seconds that the reading of a process's start may differ by, when the clock is set meanwhile
MARK = "DVC_STAGE"  # the variable that DVC gives to what it starts: the name of the stage


def this_process() -> str:
    """This process as a tag: host, number and start, so that a number that is used again is another one."""
    return _as_tag(psutil.Process())


@cache
def dvc_process() -> str:
    """The process of DVC that started this stage, as :func:`this_process` tells it; "" where a stage was started by
    hand. Ask before that may have ended."""
    dvc = _dvc()
    return _as_tag(dvc) if dvc else ""


def dvc_has_ended() -> bool:
    """Whether the process of DVC that started this stage has ended; no where there was none. It asks the system for
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
    """What that process was started with: the program and its arguments; none where there is no such process."""
    with suppress(psutil.Error):
        return list(dvc.cmdline()) if (dvc := _dvc()) else []
    return []


def is_dead(process: str) -> bool:
    """Whether a process of this host, as :func:`this_process` tells it, has ended. Of another host, or of none, nobody
    can say: that is no yes."""
    host, _, told = process.partition("/")
    number, _, start = told.partition("/")
    if not start or host != platform.node():
        return False
    try:
        alive = psutil.Process(int(number))
        return bool(abs(alive.create_time() - float(start)) > ABOUT or alive.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _as_tag(process: psutil.Process) -> str:
    return f"{platform.node()}/{process.pid}/{process.create_time():.0f}"


@cache
def _dvc() -> "psutil.Process | None":
    """The nearest ancestor that DVC has not given the stage's name to: between it and this process there may be a
    shell, or whatever a user has put before the program."""
    stage = os.environ.get(MARK)
    if not stage:
        return None
    for process in psutil.Process().parents():
        try:
            if process.environ().get(MARK) != stage:
                return process
        except psutil.Error:  # somebody else's, or gone
            return None
    return None
