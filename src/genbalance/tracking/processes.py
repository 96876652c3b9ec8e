"""Which process stands behind a run, so that one whose process died can be told from one that is under way."""

import platform

import psutil

TAG = "genbalance.process"
ABOUT = 5.0  # seconds that the reading of a process's start may differ by, when the clock is set meanwhile


def this_process() -> str:
    """This process as a tag: host, number and start, so that a number that is used again is another one."""
    return f"{platform.node()}/{psutil.Process().pid}/{psutil.Process().create_time():.0f}"


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
