"""A stage in processes that are killed, each at a moment of its own, until one of them comes to the end.

    python killed_stage.py STAGE KEY KIND MOMENT MOMENT …

KIND ``step``: the n-th update of the networks. ``file``: the n-th time that the training opens, renames or removes
something in the working directory, or makes a folder there. ``time``: after n ms. After each process a line: the signal
that ended it, or 0; after the last moment one more process, which nobody kills.

With the KEY ``tracked``, each process has its run in MLflow, which it tells, and what it does counts from the start of
the stage's own work on; one that comes to its end tells how many files and ms that took. With any other, what is
tracked goes nowhere.
"""

import os
import runpy
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow  # noqa: F401 (loaded once, for all processes)
import mlxtend.data  # noqa: F401
import pandas as pd  # noqa: F401
import sklearn.cluster  # noqa: F401
import torch  # noqa: F401

from genbalance.runtime import stage as stages
from genbalance.training import loop

FILES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile"}


class Run:
    run_id = "run"

    def __init__(self, key):
        self.key = key

    def log(self, *_, **__):
        pass

    image = artifact = dataset = model = headline = flush = log


class Clock:
    """Ends its process at the n-th tick."""

    def __init__(self, moment):
        self.moment, self.ticks, self.runs = moment, 0, False

    def tick(self):
        self.ticks += 1
        if self.ticks == self.moment:
            kill()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def watch_steps(clock):
    steps = loop.steps

    def watched(*given):
        for scalars in steps(*given):
            clock.tick()
            yield scalars

    loop.steps = watched


def watch_files(clock):
    steps = loop.steps

    def watched(*given):
        clock.runs = True  # what comes before the first step would be the same in each process
        yield from steps(*given)

    loop.steps = watched
    hear_files(clock)


def hear_files(clock):
    here = Path.cwd()

    def hook(event, given):
        if clock.runs and event in FILES and (here / str(given[0])).is_relative_to(here):
            clock.tick()

    sys.addaudithook(hook)


def watch_tracked(clock, kind):
    execute = stages.execute

    def watched(stage, main):
        def told(params, run):
            print("run", run.run_id, flush=True)
            begun = time.monotonic()
            if kind == "time" and clock.moment:
                threading.Timer(clock.moment / 1000, kill).start()
            clock.runs = kind == "file"
            main(params, run)
            print("took", clock.ticks, round(1000 * (time.monotonic() - begun)), flush=True)

        execute(stage, told)

    stages.execute = watched
    hear_files(clock)


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

    if key == "tracked":
        watch_tracked(Clock(moment), kind)
    else:
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
