"""What every training repeats around its steps: checkpoints, means, progress, curves, grids, the guard against NaN."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data import pictures
from genbalance.models import weights
from genbalance.params import Params
from genbalance.runtime.io import save_csv, whole_file, whole_folder
from genbalance.tracking import Run
from genbalance.training import loop, shares
from genbalance.training.alarms import ALARMS, DIVERGENCE, TAG, DivergedError, raised
from genbalance.training.checkpoint import Checkpoint, Part
from genbalance.training.loop import Phase
from genbalance.training.progress import EpochMeter

GRID_COLUMNS = 10  # of each grid that a training draws; a grid of samples has as many rows

Picture = NDArray[np.uint8]


class Epochs:
    """The epochs of a training, as a context and an iterator over those that are still to do.

    A training that was killed resumes after the last checkpoint, with the curves and grids of the epochs before.

    Args:
        stage: its name.
        params: whose ``checkpoint.seconds`` lie between two checkpoints.
        run: gets every number and grid of an epoch when it ends.
        count: how many epochs.
        images: how many there are to train on.
        batch_size: how many a step sees.
        shown: the numbers on the progress line, see :class:`genbalance.training.progress.EpochMeter`.
        advice: what to try where the training diverges.
        parts: all that the training's future depends on, see :class:`genbalance.training.checkpoint.Checkpoint`.
    """

    def __init__(
        self,
        stage: str,
        params: Params,
        run: Run,
        count: int,
        images: int,
        batch_size: int,
        shown: Mapping[str, str],
        advice: str,
        *parts: Part,
    ) -> None:
        self._run, self._count, self._batch_size, self._advice = run, count, batch_size, advice
        self._checkpoint = Checkpoint(stage, run, params.checkpoint.seconds, *parts, self)
        self._meter = EpochMeter(stage, count, loop.seen(images, batch_size), shown)
        self._rows: list[dict[str, float]] = []
        self._alarms: dict[str, str] = {}
        self._epoch = 0
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """The epochs themselves."""
        self._exits.enter_context(self._checkpoint)
        self._exits.enter_context(self._meter)
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends the progress bar, and tags the run where the training has diverged."""
        self._exits.__exit__(*error)
        if isinstance(error[1], DivergedError):
            self._run.tag({TAG + DIVERGENCE: str(error[1])})

    def __iter__(self) -> Iterator[int]:
        """The numbers of the epochs, from 1 or from the first after the last checkpoint."""
        for epoch in self._checkpoint.epochs(self._count):
            self._epoch = epoch
            yield epoch

    def steps(self, phases: Sequence[Phase], batches: Iterable[Tensor]) -> Iterator[Mapping[str, Tensor]]:
        """The steps of one epoch, each with its scalars.

        Raises:
            DivergedError: a scalar is NaN or infinite.
        """
        with self._meter.epoch(self._epoch):
            for scalars in loop.nan_guard(loop.steps(phases, batches), self._epoch, self._advice):
                yield scalars
                self._meter.add(scalars, self._batch_size)

    def means(self) -> dict[str, float]:
        """The mean of each scalar over the epoch's images."""
        return self._meter.means()

    def add_others(self) -> None:
        """Adds the steps of this epoch that other processes have taken for other clients."""
        self._meter.recount(shares.of_all(self._meter.counted()))

    def log(self, row: Mapping[str, float], beside: Mapping[str, float] | None = None) -> None:
        """Ends an epoch: ``row``, fractions with six significant digits, goes into the curves and the run, ``beside``
        and the speed into the run alone. An alarm that the epoch raises is a tag of the run and a line on stderr.

        Raises:
            DivergedError: a number is NaN or infinite.
        """
        for name, value in row.items():
            if not abs(value) < float("inf"):
                raise DivergedError(
                    f"epoch {self._epoch}: {name} is {value}: the training has diverged; try {self._advice}"
                )
        rounded = {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in row.items()}
        self._rows.append({"epoch": self._epoch} | rounded)
        self._run.log(rounded, step=self._epoch)
        self._run.log({"images_per_second": self._meter.images_per_second} | dict(beside or {}), step=self._epoch)
        self._meter.line(row)
        new = raised(self._rows, self._count, self._alarms)
        for name, sentence in new.items():
            self._meter.message(f"warning: {sentence}")
            self._run.tag({TAG + name: sentence})
        self._alarms |= new

    def log_images(self, **images: Picture) -> None:
        """Grids [H, W] of the epoch by name, into the run and beside the checkpoint."""
        for name, picture in images.items():
            pictures.save_png(self._folder / name / f"epoch_{self._epoch:04d}.png", picture)
            self._run.image(name, picture, step=self._epoch)

    def log_kept_images(self, epoch: int, **images: Picture) -> None:
        """Grids of the network that is kept, in the place of those of the ``epoch`` that it comes from; the run has
        them behind those of the last one."""
        for name, picture in images.items():
            pictures.save_png(self._folder / name / f"epoch_{epoch:04d}.png", picture)
            self._run.image(name, picture, step=self._count + 1)

    def log_untrained(self, draw: Callable[[], Mapping[str, Picture]]) -> None:
        """Before the first epoch, the grids of the untrained network as step 0 of the run, which its UI shows first."""
        if self._epoch == 1:
            for name, picture in draw().items():
                self._run.image(name, picture, step=0)

    def log_best(self, **choose: Callable[[list[float]], float]) -> None:
        """The best value of each column as ``best_<column>``, since a table of runs shows the last one; ``choose``
        picks it from the column, such as ``min``."""
        self._run.log({f"best_{name}": pick([row[name] for row in self._rows]) for name, pick in choose.items()})

    @property
    def curves(self) -> pd.DataFrame:
        """A row an epoch."""
        return pd.DataFrame(self._rows)

    @property
    def alarms(self) -> dict[str, dict[str, str]]:
        """What the stage's summary says of alarms, each in a sentence by its name: nothing where there was none."""
        return {ALARMS: self._alarms} if self._alarms else {}

    def grids(self) -> dict[str, dict[int, bytes]]:
        """Every epoch's grids as PNG bytes, by name and epoch."""
        found: dict[str, dict[int, bytes]] = {}
        for path in sorted(self._folder.glob("*/epoch_*.png")):
            found.setdefault(path.parent.name, {})[int(path.stem.removeprefix("epoch_"))] = path.read_bytes()
        return found

    @property
    def _folder(self) -> Path:
        return self._checkpoint.folder / "pictures"

    def state_dict(self) -> dict[str, Any]:
        """The rows of the curves, and the alarms."""
        return {"rows": self._rows, "alarms": self._alarms}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        self._rows, self._alarms = list(state_dict["rows"]), dict(state_dict["alarms"])


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        arguments: of the network's constructor.
        weights: the network's state.
        metrics: the stage's summary.
        curves: a row an epoch.
        tables: further CSV files by name.
        grids: of every epoch, PNG bytes by name and epoch.
        kept_epoch: the epoch of the weights.
    """

    arguments: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    metrics: Mapping[str, Any]
    curves: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    grids: Mapping[str, Mapping[int, bytes]] = field(default_factory=dict)
    kept_epoch: int = 0

    def save(self, weights_file: Path, folder: Path, kept_grids: Path = Path()) -> list[Path]:
        """Writes the stage's outs, each whole.

        Args:
            weights_file: the network, which explains itself.
            folder: curves.csv, the tables, and every grid as <name>/epoch_<number>.png.
            kept_grids: the grids of the kept epoch become <kept_grids>_<name>.png.

        Returns:
            The tables and the kept grids.
        """
        with whole_folder(folder) as part:
            for name, epochs in self.grids.items():
                (part / name).mkdir()
                for epoch, png in epochs.items():
                    (part / name / f"epoch_{epoch:04d}.png").write_bytes(png)
            for name, table in {"curves": self.curves, **self.tables}.items():
                save_csv(part / f"{name}.csv", table)
        kept = {name: kept_grids.with_name(f"{kept_grids.name}_{name}.png") for name in self.grids}
        for name, path in kept.items():
            with whole_file(path) as file:
                file.write_bytes(self.grids[name][self.kept_epoch])
        weights.save(weights_file, self.arguments, self.weights)
        return [*(folder / f"{name}.csv" for name in ("curves", *self.tables)), *kept.values()]
