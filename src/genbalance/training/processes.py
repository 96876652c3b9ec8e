"""A training on several processes of this machine (`compute.processes`), under torch's elastic launcher.

The stage's own process trains nothing then: it has the stage's lock and its tracked run, and starts the others. The
first of them logs, by calls that the stage's process answers, and writes the checkpoints; the others print nothing.
Where one is killed, the launcher ends the others and starts all of them anew, from the last checkpoint. How they divide
a batch: :mod:`genbalance.training.shares`.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self, cast

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from genbalance.data import prepared
from genbalance.data.prepared import Prepared
from genbalance.params import Params
from genbalance.runtime.device import set_up
from genbalance.runtime.errors import UserError, machine_errors
from genbalance.runtime.locking import StageLock
from genbalance.tracking import Run
from genbalance.training import shares
from genbalance.training.alarms import DIVERGENCE, TAG, DivergedError
from genbalance.training.epochs import Trained

RESTARTS = 3  # after a process was killed or has failed, at most
HERE = "127.0.0.1"
BACKLOG = 64  # processes that may call at the same time

Train = Callable[[Params, Prepared, torch.device, Run], Trained]


def on_processes(train: Train, stage: str, folder: Path) -> Train:
    """``train``, on as many processes as `compute.processes` says; with one of them it is called here.

    Args:
        train: a function of a module.
        stage: its name, for the random numbers and the checkpoints.
        folder: where each process reads the prepared images, to which pages of memory belong that all of them share.
    """

    def trained(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
        if params.compute.processes == 1:
            return train(params, dataset, device, run)
        return _launch(train, stage, params, folder, device, run)

    return trained


def _launch(train: Train, stage: str, params: Params, folder: Path, device: torch.device, run: Run) -> Trained:
    """What the first process returns.

    Raises:
        UserError: the machine has too few GPUs, a process has raised one, or they were killed again and again.
        ChildFailedError: a mistake in the program; with the traceback of the process that it happened in first.
        SystemExit: SIGHUP.
    """
    count = params.compute.processes
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise UserError(
            f"compute.processes: found {count}, but torch sees {torch.cuda.device_count()} GPUs here; "
            "allowed: at most as many"
        )
    for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they print ten lines at each restart
    lock = StageLock(stage)  # as long as this function runs
    claimed = lock.claim(run.key)
    hang_up = signal.getsignal(signal.SIGHUP)
    with Answers(run, stage) as answers, tempfile.TemporaryDirectory() as logs:
        task = Task(train, stage, params, folder, device.type, answers.address, run.key, run.run_id, claimed)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=stage,
            rdzv_backend="c10d",
            rdzv_endpoint=f"{HERE}:0",
            local_addr=HERE,
            max_restarts=RESTARTS,
            logs_specs=DefaultLogsSpecs(log_dir=logs, local_ranks_filter={0}),
            # the stage handles the others; the launcher's handler of this one, too, ends the processes first
            signals_to_handle="SIGHUP",
        )
        try:
            found = elastic_launch(config, _work)(task)
        except SignalException as error:
            raise SystemExit(128 + error.sigval) from None
        except ChildFailedError as error:
            if answers.error:
                raise answers.error from None
            _, failure = error.get_first_failure()
            if failure.exitcode < 0:
                raise UserError(
                    f"compute.processes: found {count}, of which one was ended by {failure.signal_name()} "
                    f"{RESTARTS + 1} times; allowed: fewer, where the memory does not suffice"
                ) from None
            raise
        finally:
            signal.signal(signal.SIGHUP, hang_up)
    if answers.error:
        raise answers.error
    return as_tensors(cast(Trained, found[0]))


@dataclass(frozen=True)
class Task:
    """What a process that trains is given by the stage's.

    Attributes:
        train: a function of a module.
        stage: its name.
        params: of the training.
        folder: of the prepared images.
        device: the type of the device.
        address: where the stage's process answers.
        key: of the stage's inputs.
        run_id: of the tracked run.
        claimed: the folder of the checkpoints, which the stage's process has locked; None: there are none.
    """

    train: Train
    stage: str
    params: Params
    folder: Path
    device: str
    address: str = ""
    key: str = ""
    run_id: str = ""
    claimed: Path | None = None


def _work(task: Task) -> Trained | None:
    """What each process does; the first one returns what it has trained, with weights as NumPy arrays."""
    rank = int(os.environ["RANK"])
    with Client(task.address, authkey=current_process().authkey) as connection:
        try:
            call(connection, "begin", rank)
        except UserError:  # that one of these processes has raised before all were started anew
            return None
        try:
            with machine_errors():
                device = set_up(task.params.compute, task.params.seed, task.stage)
                if device.type == "cuda":
                    device = torch.device("cuda", rank)
                    torch.cuda.set_device(device)
                shares.join("nccl" if device.type == "cuda" else "gloo", task.claimed)
                run = RemoteRun(task.key, task.run_id, connection if rank == 0 else None)
                trained = task.train(task.params, prepared.load(task.folder), device, cast(Run, run))
        except UserError as error:
            with suppress(UserError):
                call(connection, "fail", error)
            raise SystemExit(1) from None  # whatever the others wait for, they do not get it
    if rank:
        return None
    return as_arrays(trained)


def as_arrays(trained: Trained) -> Trained:
    """With the weights as NumPy arrays, which another process can be sent."""
    weights: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in trained.weights.items()}
    return replace(trained, weights=weights)


def as_tensors(sent: Trained) -> Trained:
    """With the weights of :func:`as_arrays` as tensors again."""
    return replace(sent, weights={name: torch.from_numpy(array) for name, array in sent.weights.items()})


def call(connection: Connection, name: str, *args: Any) -> None:
    """Has the stage's process do what ``name`` says.

    Raises:
        UserError: the first error that there was.
    """
    connection.send((name, args))
    error = connection.recv()
    if error is not None:
        raise error


class RemoteRun:
    """The part of a tracked run that a training uses, in another process; without a connection it is silent.

    Args:
        key: of the stage's inputs.
        run_id: of the run.
        connection: to where the run is.
    """

    def __init__(self, key: str, run_id: str, connection: Connection | None) -> None:
        self.key, self.run_id, self._connection = key, run_id, connection

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """As :meth:`genbalance.tracking.Run.log`."""
        self._send("log", dict(values), step)

    def image(self, key: str, image: Any, step: int) -> None:
        """As :meth:`genbalance.tracking.Run.image`."""
        self._send("image", key, image, step)

    def tag(self, tags: Mapping[str, str]) -> None:
        """As :meth:`genbalance.tracking.Run.tag`."""
        self._send("tag", dict(tags))

    def flush(self) -> None:
        """As :meth:`genbalance.tracking.Run.flush`."""
        self._send("flush")

    def _send(self, name: str, *args: Any) -> None:
        if self._connection is not None:
            call(self._connection, name, *args)


class Answers:
    """Answers the processes' calls in threads of its own, as a context. It keeps the first error, which is the answer
    to all later ones.

    Args:
        run: what the first process logs to. An epoch that is repeated, since the processes were started anew, is not
            logged a second time.
        stage: its name.

    Attributes:
        address: where they call.
        error: the first one.
    """

    def __init__(self, run: Run, stage: str) -> None:
        self._run, self._stage, self._starts, self._lock = run, stage, 0, Lock()
        self._logged: set[tuple[str, int | None]] = set()
        self._listener = Listener(backlog=BACKLOG, authkey=current_process().authkey)
        self.address = cast(str, self._listener.address)
        self.error: UserError | None = None

    def __enter__(self) -> Self:
        """Itself; it takes connections from now on."""
        Thread(target=self._serve, name="answers", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (EOFError, ConnectionError, AuthenticationError):  # a process that was killed meanwhile
                continue
            except OSError:
                return
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):
            while True:
                name, args = connection.recv()
                with self._lock:
                    try:
                        if not self.error:
                            with machine_errors():
                                self.do(name, args)
                    except UserError as error:
                        self.error = error
                    answer = self.error
                connection.send(answer)

    def do(self, name: str, args: tuple[Any, ...]) -> None:
        """Answers one call.

        Raises:
            UserError: the run does not take what it is given; or what the call tells of.
        """
        match name, args:
            case "begin", (rank,):
                if rank == 0 and self._starts and not self.error:
                    print(f"{self._stage}: a process has ended; all of them start anew", file=sys.stderr, flush=True)
                self._starts += rank == 0
            case "fail", (error,):
                if isinstance(error, DivergedError):  # of a process whose own run is silent, it may be
                    self._run.tag({TAG + DIVERGENCE: str(error)})
                raise error
            case "log", (values, step):
                new = {key: value for key, value in values.items() if (key, step) not in self._logged}
                self._logged |= {(key, step) for key in new}
                self._run.log(new, step)
            case _:
                getattr(self._run, name)(*args)
