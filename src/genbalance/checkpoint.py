"""Trainings that go on where they were cut short, to the same bytes: whole epochs are kept, one begun is redone."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from safetensors import SafetensorError
from tqdm import tqdm

from genbalance import states
from genbalance.files import whole_file
from genbalance.machine import machine
from genbalance.tracking import Run
from genbalance.workplace import CHECKPOINT, RUN, Workplace

BROKEN = (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)


class Stateful(Protocol):
    """A network, an optimizer, a schedule, a moving average …"""

    def state_dict(self) -> Mapping[str, Any]:
        """All that its future depends on: dicts, lists and tuples of tensors, arrays, numbers and texts."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Becomes what ``state_dict`` was told by."""


Part = Stateful | torch.Generator | list[float]


class Checkpoint:
    """Keeps a training's parts at the ends of epochs, and finds them again. Use it as a context around the training.

    Where there is no key, or another process trains the same at the moment, nothing is kept.

    Args:
        stage: its name.
        run: whose ``key`` says what is trained, and whose ``run_id`` is kept beside the parts.
        seconds: of training from one checkpoint to the next; 0: one each epoch.
        parts: all that the training's future depends on, always in the same order; a list of numbers is one too. The
            generators that draw without being named (dropout's) are kept as well.

    Attributes:
        folder: where files that the training gathers belong: they are there again when it goes on.
    """

    def __init__(self, stage: str, run: Run, seconds: float, *parts: Part) -> None:
        self._stage, self._run, self._seconds = stage, run, seconds
        unnamed = [torch.default_generator, *(torch.cuda.default_generators if torch.cuda.is_initialized() else ())]
        self._parts: list[Part] = [*parts, *unnamed]
        self._place = Workplace(stage)  # holds the lock
        claimed = self._place.claim(run.key)
        if run.key and not claimed:
            self._tell("another process trains on the same inputs, so this one writes no checkpoints")
        self._passing = None if claimed else tempfile.TemporaryDirectory()
        self._keeps = claimed is not None
        self.folder = claimed or Path(self._passing.name if self._passing else "")

    def __enter__(self) -> Self:
        """The checkpoint itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes what was never to be kept. The rest goes when the whole stage has ended well."""
        if self._passing:
            self._passing.cleanup()

    def epochs(self, count: int) -> Iterator[int]:
        """The epochs that are still to do, counted from 1: all, or those after the one that was kept last."""
        done = self._found(count) if self._keeps else 0
        kept = time.monotonic()
        for epoch in range(done + 1, count + 1):
            yield epoch
            if self._keeps and epoch < count and time.monotonic() - kept >= self._seconds:
                self._keep(epoch)
                kept = time.monotonic()

    def _keep(self, epoch: int) -> None:
        self._run.flush()  # who goes on after this epoch does not log it again
        parts = [_state(part) for part in self._parts]
        try:
            with whole_file(self.folder / RUN) as text:
                text.write_text(self._run.run_id, encoding="utf-8")
            states.save(self.folder / CHECKPOINT, {"epoch": epoch, "made on": _machine(), "parts": parts})
        except (OSError, SafetensorError) as error:  # a training is worth more than its checkpoint
            self._tell(f"{self.folder}: no checkpoint could be written ({_first_line(error)}); training continues")

    def _found(self, count: int) -> int:
        """The epoch that was kept last, with all parts as they were then; 0, with none of them touched and an empty
        folder, where none was kept."""
        path = self.folder / CHECKPOINT
        if path.exists():
            before = states.copy([_state(part) for part in self._parts])
            try:
                kept = states.load(path)
                if kept["made on"] != _machine():
                    raise ValueError(f"made on {kept['made on']}, this is {_machine()}")
                if len(kept["parts"]) != len(self._parts) or not 0 < kept["epoch"] < count:
                    raise ValueError("it belongs to another training")
                self._set(kept["parts"])
                self._tell(f"resuming after epoch {kept['epoch']}")
                return int(kept["epoch"])
            except BROKEN as error:
                self._set(before)
                self._tell(f"{path}: cannot be resumed from ({_first_line(error)}); training restarts")
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return 0

    def _set(self, kept: list[Any]) -> None:
        for part, state in zip(self._parts, kept, strict=True):
            _restore(part, state)

    def _tell(self, what: str) -> None:
        tqdm.write(f"{self._stage}: {what}", file=sys.stderr)  # above the bar, where there is one


def _state(part: Part) -> Any:
    match part:
        case torch.Generator():
            return part.get_state()
        case list():
            return list(part)
        case _:
            return part.state_dict()


def _restore(part: Part, state: Any) -> None:
    match part:
        case torch.Generator():
            part.set_state(state)
        case list():
            part[:] = state
        case _:
            part.load_state_dict(state)


def _machine() -> str:
    """What decides the bytes beside code, data and params: half a training on each of two would be neither's."""
    return f"torch {torch.__version__}, {machine(torch.device('cuda' if torch.cuda.is_initialized() else 'cpu'))}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
