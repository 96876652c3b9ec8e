"""Checkpoints: a training that was killed resumes to the same bytes. Whole epochs are kept, one begun is repeated."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, Self

import torch
from tqdm import tqdm

from genbalance.runtime.io import whole_file
from genbalance.runtime.locking import CHECKPOINT, RUN, StageLock
from genbalance.runtime.machine import machine
from genbalance.tracking import Run
from genbalance.training import shares

# what an unreadable or foreign file raises
BROKEN = (OSError, EOFError, UnpicklingError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)


class Stateful(Protocol):
    """A network, an optimizer, a schedule, a moving average …"""

    def state_dict(self) -> Mapping[str, Any]:
        """All that its future depends on: dicts, lists and tuples of tensors, numbers and texts."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Restores the state saved by state_dict."""


Part = Stateful | torch.Generator | list[float]


class Checkpoint:
    """Saves a training's parts at the ends of epochs and restores them. Use it as a context around the training.

    Without a key, or while another process trains the same, nothing is saved. Of several processes that train together
    the first one saves, and all restore.

    Args:
        stage: its name.
        run: whose ``key`` identifies the training, and whose ``run_id`` is saved beside the parts.
        seconds: of training from one checkpoint to the next; 0: one each epoch.
        parts: all that the training's future depends on, always in the same order. The generators that draw without
            being named (dropout's) are saved as well.

    Attributes:
        folder: for files that the training gathers: they are there again when it resumes.
    """

    def __init__(self, stage: str, run: Run, seconds: float, *parts: Part) -> None:
        self._stage, self._run, self._seconds = stage, run, seconds
        self._parts: list[Part] = [*parts, *unnamed()]
        self._lock = StageLock(stage)
        self._claimed = shares.claim(self._lock, run.key)
        if run.key and not self._claimed:
            self._print("another process trains on the same inputs, so this one writes no checkpoints")
        self._saves = self._claimed is not None and shares.is_first()
        self._temporary = None if self._saves else tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name) if self._temporary else self._claimed or Path()

    def __enter__(self) -> Self:
        """The checkpoint itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes a temporary folder. Checkpoints are removed when the whole stage has ended well."""
        if self._temporary:
            self._temporary.cleanup()

    def epochs(self, count: int) -> Iterator[int]:
        """The epochs that are still to do, counted from 1: all, or those after the last checkpoint."""
        done = shares.agreed(lambda: self._restored(count)) if self._claimed else 0
        saved = time.monotonic()
        for epoch in range(done + 1, count + 1):
            yield epoch
            if self._saves and epoch < count and time.monotonic() - saved >= self._seconds:
                self._save(epoch)
                saved = time.monotonic()

    def _save(self, epoch: int) -> None:
        self._run.flush()  # a training that resumes after this epoch does not log it again
        state = {"epoch": epoch, "made on": _machine(), "parts": states(self._parts)}
        try:
            with whole_file(self.folder / RUN) as text:
                text.write_text(self._run.run_id, encoding="utf-8")
            with whole_file(self.folder / CHECKPOINT) as file:
                torch.save(state, file)  # keeps strides: fused Adam takes weights and moments in the order of memory
        except (OSError, RuntimeError) as error:  # a training is worth more than its checkpoint
            self._print(f"{self.folder}: no checkpoint could be written ({_first_line(error)}); training continues")

    def _restored(self, count: int) -> int:
        """The epoch of the checkpoint, with all parts as they were then; 0, with none of them touched and an empty
        folder, without one."""
        path = (self._claimed or self.folder) / CHECKPOINT
        if path.exists():
            before = deepcopy(states(self._parts))
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)  # no pickle of anything else
                if state["made on"] != _machine():
                    raise ValueError(f"made on {state['made on']}, this is {_machine()}")
                if len(state["parts"]) != len(self._parts) or not 0 < state["epoch"] < count:
                    raise ValueError("it belongs to another training")
                restore(self._parts, state["parts"])
                self._print(f"resuming after epoch {state['epoch']}")
                return int(state["epoch"])
            except BROKEN as error:
                restore(self._parts, before)
                self._print(f"{path}: cannot be resumed from ({_first_line(error)}); training restarts")
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return 0

    def _print(self, message: str) -> None:
        tqdm.write(f"{self._stage}: {message}", file=sys.stderr)  # above the bar, where there is one


def unnamed() -> list[torch.Generator]:
    """The generators that draw without being named, as dropout's: the CPU's, and that of the GPU in use."""
    if not torch.cuda.is_initialized():
        return [torch.default_generator]
    return [torch.default_generator, torch.cuda.default_generators[torch.cuda.current_device()]]


def states(parts: Sequence[Part]) -> list[Any]:
    """What :func:`restore` takes; its tensors are the parts' own."""
    return [_state(part) for part in parts]


def restore(parts: Sequence[Part], states: Sequence[Any]) -> None:
    """Puts the parts into these states."""
    for part, state in zip(parts, states, strict=True):
        match part:
            case torch.Generator():
                part.set_state(state)
            case list():
                part[:] = state
            case _:
                part.load_state_dict(state)


def _state(part: Part) -> Any:
    match part:
        case torch.Generator():
            return part.get_state()
        case list():
            return list(part)
        case _:
            return part.state_dict()


def _machine() -> str:
    """What decides the bytes beside code, data and params: half a training on each of two would be neither's."""
    return f"torch {torch.__version__}, {machine(torch.device('cuda' if torch.cuda.is_initialized() else 'cpu'))}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
