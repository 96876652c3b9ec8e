"""A stage in processes that are killed, each at a moment of its own, until one of them comes to the end.

    python killed_stage.py STAGE KEY KIND MOMENT MOMENT …

KIND ``step``: the n-th update of the networks. ``file``: the n-th time that the training opens, renames or removes
something in the working directory, or makes a folder there. After each process a line: the signal that ended it, or 0;
after the last moment one more process, which nobody kills. What is tracked goes nowhere.
"""

import os
import runpy
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import mlxtend.data  # noqa: F401 (loaded once, for all processes)
import pandas as pd  # noqa: F401
import sklearn.cluster  # noqa: F401
import torch  # noqa: F401

from genbalance import stage as stages
from genbalance import training

FILES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile"}


class Run:
    run_id = "run"

    def __init__(self, key):
        self.key = key

    def log(self, *_, **__):
        pass

    image = artifact = dataset = model = headline = log


class Clock:
    """Ends its process at the n-th tick."""

    def __init__(self, moment):
        self.left, self.runs = moment, False

    def tick(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_steps(clock):
    steps = training.steps

    def watched(*given):
        for scalars in steps(*given):
            clock.tick()
            yield scalars

    training.steps = watched


def watch_files(clock):
    steps = training.steps

    def watched(*given):
        clock.runs = True  # what comes before the first step would be the same in each process
        yield from steps(*given)

    training.steps = watched
    here = Path.cwd()

    def hook(event, given):
        if clock.runs and event in FILES and (here / str(given[0])).is_relative_to(here):
            clock.tick()

    sys.addaudithook(hook)


def lived(stage, key, kind, moment):
    """The signal that ended a process, or its exit status."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    @contextmanager
    def untracked(*_, **__):
        yield Run(key)

    stages.tracked = untracked
    if moment:
        {"step": watch_steps, "file": watch_files}[kind](Clock(moment))
    try:
        runpy.run_path(f"stages/{stage}.py", run_name="__main__")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _, stage, key, kind, *moments = sys.argv
    for moment in [*map(int, moments), 0]:
        print("ended", -lived(stage, key, kind, moment), flush=True)
