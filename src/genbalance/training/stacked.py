"""Trainings that differ in numbers alone, stacked: one process takes the steps of all of them together.

For a GPU, which takes about as long for eight small networks as for one (`genbalance sweep run --stacked`). The stage's
processes of points that run side by side meet (:mod:`genbalance.training.rendezvous`), and the first one trains for
all: each training in a thread, as if it were alone, one thread at a time. Where all of them wait at a step, losses and
gradients are computed in one go, with the networks' weights stacked along a new first axis. Whatever a training logs
and prints goes to the process that it is of, which writes its outs and has its tracked run.

The numbers are those of separate trainings to the tolerance of reordered sums (in bf16, of rounded products), and so
not their bytes.
"""

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection
from pathlib import Path
from threading import Condition, Event, Thread
from traceback import format_exc
from typing import Any, TextIO, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from genbalance.data import prepared
from genbalance.data.prepared import Prepared
from genbalance.params import Params
from genbalance.runtime.device import set_up
from genbalance.runtime.errors import UserError, machine_errors
from genbalance.runtime.locking import StageLock
from genbalance.tracking import Run
from genbalance.training import rendezvous, shares
from genbalance.training.epochs import Trained
from genbalance.training.loop import LossModule, Phase, Scalars
from genbalance.training.processes import Answers, RemoteRun, Task, Train, as_arrays, as_tensors, call, on_processes

LOOK = 0.1  # seconds between two looks at whether the process that trains has ended
STACKED = "stacked"  # the metric that says how many trainings there were

_stack: ContextVar["Stack"] = ContextVar("stack")
_output: ContextVar[Connection] = ContextVar("output")


# ── a step ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class StackedPhase(Phase):
    """A phase that takes its steps together with those of the other trainings.

    ``loss`` takes what ``draw`` makes of a batch, and draws nothing itself.

    Attributes:
        draw: all that a step on images of these indices draws, and the numbers in which trainings may differ.
    """

    loss: Callable[..., Scalars]
    draw: Callable[[Tensor], tuple[Tensor | float, ...]]

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """One update, as that of a phase."""
        return self.update(_stack.get().step(self, self.draw(batch)))

    def update(self, step: "Step") -> dict[str, Tensor]:
        """The optimizer's part of it."""
        scalars, gradients = step
        for p, gradient in zip(self.parameters, gradients, strict=True):
            p.grad = gradient
        norm = nn.utils.get_total_norm(gradients)
        self.optimizer.step()
        return scalars | {f"grad_norm_{self.name}": norm}


Step = tuple[dict[str, Tensor], list[Tensor]]
"""The scalars of a training's step, and the gradients of its parameters."""


def in_stack() -> bool:
    """Whether the training of this thread is one of several that are stacked."""
    return _stack.get(None) is not None


def together(phases: Sequence[StackedPhase], given: Sequence[Sequence[Tensor | float]]) -> list[Step]:
    """A step of each training, whose networks and losses are alike: scalars and gradients.

    Args:
        phases: one of each training.
        given: what the loss of each takes.
    """
    first = phases[0]
    names = [name for name, _ in first.module.named_parameters()]
    own = [[p.detach() for p in phase.parameters] for phase in phases]
    weights = {name: torch.stack(same).requires_grad_() for name, *same in zip(names, *own, strict=True)}
    constants = {name: torch.stack(same) for name, *same in _buffers(phases)}  # such as a flow's permutations
    device = first.parameters[0].device
    inputs = [torch.stack([torch.as_tensor(one, device=device) for one in each]) for each in zip(*given, strict=True)]
    module = LossModule(first.module, first.loss)

    def of_one(tensors: Mapping[str, Tensor], *inputs: Tensor) -> Scalars:
        found: Scalars = functional_call(module, module.named(tensors), inputs)
        return found

    scalars: Scalars = vmap(of_one)(weights | constants, *inputs)
    gradients = torch.autograd.grad(scalars[first.objective].sum(), list(weights.values()))
    steps = []
    for place, parameters in enumerate(own):
        of_training = [torch.empty_like(p) for p in parameters]  # laid out as they are, and Adam's averages
        torch._foreach_copy_(of_training, [gradient[place] for gradient in gradients])
        steps.append(({name: value[place].detach() for name, value in scalars.items()}, of_training))
    return steps


def _buffers(phases: Sequence[StackedPhase]) -> Iterator[tuple[Any, ...]]:
    """Name and tensors of each buffer of the networks."""
    every = [dict(phase.module.named_buffers()) for phase in phases]
    return ((name, *(buffers[name] for buffers in every)) for name in every[0])


class Stack:
    """Trainings in as many threads, of which one runs at a time: until it waits for the others at a step, or ends.

    Args:
        count: of the trainings.
    """

    def __init__(self, count: int) -> None:
        self._turn, self._members, self._ends = Condition(), count, False
        self._waiting: list[tuple[StackedPhase, Sequence[Tensor | float]]] = []
        self._taken: dict[int, Step | Exception] = {}

    @contextmanager
    def member(self) -> Iterator[None]:
        """The block is one of the trainings, in a thread of its own."""
        with self._turn:
            _stack.set(self)
            try:
                yield
            finally:
                self._members -= 1
                self._turn.notify_all()

    def step(self, phase: StackedPhase, given: Sequence[Tensor | float]) -> Step:
        """Scalars and gradients of a member's step, taken as soon as all members wait for theirs.

        Raises:
            EOFError: the trainings are to end.
        """
        self._waiting.append((phase, given))
        while id(phase) not in self._taken:
            if self._ends:
                raise EOFError
            if len(self._waiting) == self._members:
                self._take()
            else:
                self._turn.wait()
        taken = self._taken.pop(id(phase))
        if isinstance(taken, Exception):
            raise taken
        return taken

    def end(self) -> None:
        """Ends all trainings, each at its next step."""
        with self._turn:
            self._ends = True
            self._turn.notify_all()

    def _take(self) -> None:
        phases, given = zip(*self._waiting, strict=True)
        self._waiting = []
        steps: Sequence[Step | Exception]
        try:
            steps = together(phases, given)
        except Exception as error:
            steps = [error] * len(phases)
        self._taken |= {id(phase): step for phase, step in zip(phases, steps, strict=True)}
        self._turn.notify_all()


# ── a training, from the process that it is of to the one that takes its steps ───────────────────────────────────────


def with_others(train: Train, stage: str, folder: Path, kind: Callable[[Params, Prepared], str]) -> Train:
    """``train``, stacked with the trainings of the processes that meet this one, if there is a rendezvous; otherwise on
    as many processes as `compute.processes` says.

    Args:
        train: a function of a module.
        stage: its name.
        folder: of the prepared images.
        kind: what trainings have in common that can be stacked; "" of one that cannot.
    """

    def trained(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
        what = kind(params, dataset) if rendezvous.is_open() and params.compute.processes == 1 else ""
        found = _stacked(what, Task(train, stage, params, folder.resolve(), device.type), run) if what else None
        return found or on_processes(train, stage, folder)(params, dataset, device, run)

    return trained


def _stacked(kind: str, task: Task, run: Run) -> Trained | None:
    """What the first of the processes that met has trained; None where this one met no other.

    Raises:
        UserError: what the training has raised.
        RuntimeError: a mistake in the program, with its traceback.
    """
    rendezvous.enter()
    lock = StageLock(task.stage)  # as long as this function runs
    with Mailbox(run, task.stage) as mailbox:
        task = replace(task, address=mailbox.address, key=run.key, run_id=run.run_id, claimed=lock.claim(run.key))
        while not mailbox.done.is_set():
            try:
                first, tasks = rendezvous.meet(kind, mailbox.address, task)
            except (EOFError, OSError):  # whoever runs the sweep has ended
                return None
            if len(tasks) == 1 and not mailbox.has_begun:
                return None
            if tasks:
                train_all(tasks)
            else:
                mailbox.wait(first)
        return mailbox.result()


class Mailbox(Answers):
    """Answers the process that trains.

    Attributes:
        done: whether the training has ended.
    """

    def __init__(self, run: Run, stage: str) -> None:
        super().__init__(run, stage)
        self.done = Event()
        self._trained: Trained | None = None
        self._traceback = ""

    def wait(self, first: str) -> None:
        """Waits until the training has ended, or the process that trains, which listens at ``first``."""
        with suppress(EOFError, OSError), Client(first, authkey=bytes(current_process().authkey)) as line:
            while not self.done.wait(LOOK) and not line.poll():  # it sends nothing: what can be read is its end
                pass

    def __exit__(self, *error: object) -> None:
        """Takes no more connections; whoever calls over one that there is hears that this process ends."""
        super().__exit__(*error)
        with self._lock:
            self.error = self.error or UserError(f"{self._stage}: ends")

    @property
    def has_begun(self) -> bool:
        """Whether the training has logged anything."""
        return bool(self._logged)

    def result(self) -> Trained:
        """What was trained.

        Raises:
            UserError: what the training has raised.
            RuntimeError: a mistake in the program, with its traceback.
        """
        with self._lock:  # what ends the training is answered first
            if self.error:
                raise self.error
            if self._trained is None:
                raise RuntimeError(self._traceback)
            return as_tensors(self._trained)

    def do(self, name: str, args: tuple[Any, ...]) -> None:
        """Answers one call."""
        match name, args:
            case "print", (text,):
                print(text, end="", file=sys.stderr, flush=True)
            case "trained", (trained,):
                self._trained = trained
                self.done.set()
            case "break", (traceback,):
                self._traceback = traceback
                self.done.set()
            case _:
                try:
                    super().do(name, args)
                except Exception:  # the training does not begin again
                    self._traceback = format_exc()
                    self.done.set()
                    raise


def train_all(tasks: Sequence[Task]) -> None:
    """Trains for all; each process is given what belongs to it.

    Args:
        tasks: of the processes that met, this one's among them.
    """
    stack = Stack(len(tasks))
    threads = [Thread(target=_train, args=(stack, task, len(tasks)), name=task.key, daemon=True) for task in tasks]
    with redirect_stderr(cast(TextIO, Output(sys.stderr))):
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:  # a signal: the other processes meet again
            stack.end()
            for thread in threads:
                thread.join()
            raise


def _train(stack: Stack, task: Task, count: int) -> None:
    """One of ``count`` trainings. It ends where the process has ended that it is of."""
    key = bytes(current_process().authkey)
    with (
        suppress(EOFError, OSError, AuthenticationError),
        stack.member(),
        Client(task.address, authkey=key) as connection,
    ):
        _output.set(connection)
        try:
            with machine_errors():
                shares.take_claimed(task.claimed)
                device = set_up(task.params.compute, task.params.seed, task.stage)
                run = RemoteRun(task.key, task.run_id, connection)
                trained = task.train(task.params, prepared.load(task.folder), device, cast(Run, run))
        except UserError as error:
            with suppress(UserError):
                call(connection, "fail", error)
        except (EOFError, OSError):
            raise
        except Exception:
            call(connection, "break", format_exc())
        else:
            trained = replace(trained, metrics={**trained.metrics, STACKED: count})
            call(connection, "trained", as_arrays(trained))


class Output(io.TextIOBase):
    """stderr, which in a training's thread is that of the process that it is of."""

    def __init__(self, own: TextIO) -> None:
        self._own = own

    def write(self, text: str) -> int:
        """Sends a text there."""
        connection = _output.get(None)
        if connection is None:
            return self._own.write(text)
        call(connection, "print", text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""
        self._own.flush()
