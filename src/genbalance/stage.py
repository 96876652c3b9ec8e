"""What every stage program does before and after its own work."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from genbalance.errors import UserError, machine_errors
from genbalance.files import write_json
from genbalance.instructions import pin
from genbalance.params import Params, read_params
from genbalance.repository import root
from genbalance.summary import numbers, rounded
from genbalance.tracking import Run, tracked
from genbalance.tracking.processes import dvc_has_ended, dvc_process
from genbalance.workplace import Workplace

METRICS = Path("metrics")
LOOK = 0.5  # seconds from one look at DVC's process to the next


def execute(stage: str, main: Callable[[Params, Run], None]) -> None:
    """Runs a stage: checks params.yaml and that nobody else runs it here, opens the tracked run, calls ``main``, ends
    the run as ``main`` ended.

    Bad input, and what the machine refuses, is one line on stderr (``<stage>: <what and what to do>``) and exit code 1;
    Ctrl-C ends with 130 and SIGTERM with 143, both with the run KILLED; any other exception shows its traceback, with
    the run FAILED. A stage whose DVC is killed ends as on SIGTERM: nobody would take what it makes.

    Args:
        stage: its name, as in dvc.yaml with ``@`` as ``_``.
        main: its work.

    Raises:
        SystemExit: on bad input and on signals.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    _end_with_dvc(stage)
    _share_the_processor()
    try:
        with machine_errors(), _no_fault_after_dvc(stage):
            params = read_params()
            if params.compute.bits == "portable" and params.compute.precision == "fp32":  # bf16 needs more
                pin()
            with Workplace(stage) as place:
                with tracked(stage, params, place.resumable) as run:
                    main(params, run)
                place.clear(run.key)  # only now: who is killed before needs it
    except UserError as error:
        for line in str(error).splitlines():
            print(f"{stage}: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"{stage}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def publish(run: Run, stage: str, metrics: Mapping[str, Any], made: Path, shown: Mapping[str, str]) -> None:
    """One summary, two sinks: ``metrics/<stage>.json`` and the run get exactly the same numbers. A line on stdout names
    what the stage made and a few of them.

    Args:
        run: gets every number, under dotted names; texts stay in the file.
        stage: its name.
        metrics: texts, numbers and mappings of them; fractions are rounded to 6 significant digits.
        made: the stage's main out, for the line.
        shown: the numbers on the line, three to five: the text before the value → the metric's name.

    Raises:
        UserError: a number is NaN or infinite; the text names it.
    """
    summary = rounded(metrics)
    write_json(METRICS / f"{stage}.json", summary)
    run.log(numbers(summary))
    values = (
        f"{text} {summary[name]:{',' if isinstance(summary[name], int) else '.4g'}}" for text, name in shown.items()
    )
    print(f"{stage}: {made}: {', '.join(values)}", flush=True)


def _share_the_processor() -> None:
    """In a queued experiment's copy other workers run beside this one. OpenMP's threads wait by spinning, long enough
    that two stages of two threads on two cores take several times what they need; a short spin costs one stage little.
    Read when torch loads; the results do not depend on it."""
    if Path.cwd().resolve() != root().resolve():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _end_with_dvc(stage: str) -> None:
    """Lets SIGTERM reach this process soon after DVC has ended, which would otherwise leave it behind: the stage would
    stay taken, and what it makes would be nobody's."""

    def watch() -> None:
        while not dvc_has_ended():
            time.sleep(LOOK)
        _tell_of_the_end(stage)
        os.kill(os.getpid(), signal.SIGTERM)

    if dvc_process():
        threading.Thread(target=watch, name="end with DVC", daemon=True).start()


@contextmanager
def _no_fault_after_dvc(stage: str) -> Iterator[None]:
    """What goes wrong once DVC has ended is no fault: it removes a queued experiment's copy under the stage."""
    try:
        yield
    except Exception:
        if dvc_has_ended():
            _tell_of_the_end(stage)
            raise SystemExit(128 + signal.SIGTERM) from None
        raise


def _tell_of_the_end(stage: str) -> None:
    with suppress(OSError):  # the screen may be gone with DVC
        print(f"{stage}: the DVC that started it has ended; it ends too", file=sys.stderr, flush=True)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _once()
    raise SystemExit(128 + signal.SIGTERM)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    _once()
    raise KeyboardInterrupt


def _once() -> None:
    """Ignores further signals, so that an impatient second Ctrl-C does not stop the run's end from being written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
