"""What every stage program does around its own work: the lock, the tracked run, signals, errors, metrics."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from genbalance.params import Params, read_params, read_yaml
from genbalance.runtime.errors import UserError, machine_errors
from genbalance.runtime.instructions import pin
from genbalance.runtime.io import numbers, rounded, whole_file, whole_folder, write_json
from genbalance.runtime.locking import StageLock
from genbalance.runtime.repository import root
from genbalance.tracking import Run, tracked
from genbalance.tracking.processes import dvc_has_ended, dvc_process

METRICS = Path("metrics")
INTERVAL = 0.5  # seconds between two checks of DVC's process


def execute(stage: str, main: Callable[[Params, Run], None], loads: str = "") -> None:
    """Runs a stage: reads params.yaml, takes the stage's lock, opens the tracked run and calls ``main``; the run ends
    as ``main`` ends.

    Bad input, and what the machine refuses, is one line on stderr (``<stage>: <what and what to do>``) and exit code 1;
    Ctrl-C ends with 130 and SIGTERM with 143, both with the run KILLED; any other exception shows its traceback, with
    the run FAILED. A stage whose DVC has been killed ends as on SIGTERM: DVC alone would record its outs.

    Args:
        stage: its name, as in dvc.yaml with ``@`` as ``_``.
        main: its work, given the params and the run.
        loads: the module that ``main`` imports and that takes a second to load, since it loads torch.

    Raises:
        SystemExit: on bad input and on signals.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    _end_with_dvc(stage)
    _limit_spinning()
    try:
        with machine_errors(), _end_if_dvc_has_ended(stage), _collector_paused() as resume_collector:
            params = read_params()
            if params.compute.bits == "portable" and params.compute.precision == "fp32":  # bf16 needs more
                pin()
            if family := params.family_off(stage):
                _write_empty_outs(stage, family)
                print(f"{stage}: families.{family} is false: nothing to do", flush=True)
                return
            with StageLock(stage) as place:
                with tracked(stage, params, place.resumable) as run:
                    if loads:
                        import_module(loads)
                    resume_collector()
                    main(params, run)
                place.clear(run.key)  # only now: a stage killed before this line resumes from it
    except UserError as error:
        for line in str(error).splitlines():
            print(f"{stage}: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"{stage}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _write_empty_outs(stage: str, family: str) -> None:
    """Writes the outs of a stage whose family is off, with nothing in them but that: DVC asks for them, and what
    depends on them goes on without the family."""
    from PIL import Image

    note = f"families.{family} is false in params.yaml\n"
    pipeline = read_yaml(Path("dvc.yaml"))["stages"]
    entry = pipeline[stage if stage in pipeline else stage.removesuffix(f"_{family}")]  # or the matrix
    for out in (*entry["outs"], *entry["plots"]):
        path = Path((out if isinstance(out, str) else next(iter(out))).replace("${item.family}", family))
        if not path.suffix:
            with whole_folder(path) as folder:
                (folder / "off.txt").write_text(note, encoding="utf-8")
        else:
            with whole_file(path) as part:
                if path.suffix == ".png":
                    Image.new("L", (1, 1)).save(part, format="PNG")
                else:
                    part.write_text("{}\n" if path.suffix == ".json" else note, encoding="utf-8")


def publish(run: Run, stage: str, metrics: Mapping[str, Any], made: Path, shown: Mapping[str, str]) -> None:
    """Writes a stage's metrics to ``metrics/<stage>.json``, logs the same numbers to the run, and prints a line with a
    few of them.

    Args:
        run: gets every number, under dotted names; texts stay in the file.
        stage: its name.
        metrics: texts, numbers and mappings of them; fractions are rounded to 6 significant digits.
        made: the stage's main out, which the line names.
        shown: the three to five numbers on the line: the text before the value → the metric's name.

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


@contextmanager
def _collector_paused() -> Iterator[Callable[[], None]]:
    """Pauses Python's garbage collector until the block calls what it is given, and at most until its end. MLflow and
    torch make a million objects that all stay; the collector would look through them again and again, for a fifth of
    the time that they take to load. It leaves them out afterwards, too."""

    def resume() -> None:
        gc.freeze()
        gc.enable()

    gc.disable()
    try:
        yield resume
    finally:
        gc.unfreeze()
        gc.enable()


def _limit_spinning() -> None:
    """Shortens the time for which OpenMP's threads wait by spinning, in a queued experiment's copy: other workers run
    beside it, and spinning makes two stages of two threads on two cores take several times as long as they need. A
    stage that runs alone loses little. torch reads it as it loads; the results do not depend on it."""
    if Path.cwd().resolve() != root().resolve():
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _end_with_dvc(stage: str) -> None:
    """Sends SIGTERM to this process soon after its DVC has ended. Left running, it would hold the stage's lock, and its
    outs would be recorded nowhere."""

    def watch() -> None:
        while not dvc_has_ended():
            time.sleep(INTERVAL)
        _say_that_dvc_has_ended(stage)
        os.kill(os.getpid(), signal.SIGTERM)

    if dvc_process():
        threading.Thread(target=watch, name="end with DVC", daemon=True).start()


@contextmanager
def _end_if_dvc_has_ended(stage: str) -> Iterator[None]:
    """Ends the stage as on SIGTERM where something fails after DVC has ended: DVC removes a queued experiment's copy
    while the stage still runs in it."""
    try:
        yield
    except Exception:
        if dvc_has_ended():
            _say_that_dvc_has_ended(stage)
            raise SystemExit(128 + signal.SIGTERM) from None
        raise


def _say_that_dvc_has_ended(stage: str) -> None:
    with suppress(OSError):  # the terminal may have closed with DVC
        print(f"{stage}: the DVC that started it has ended; it ends too", file=sys.stderr, flush=True)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    raise SystemExit(128 + signal.SIGTERM)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """Ignores further signals, so that a second Ctrl-C does not stop the run's end from being written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
