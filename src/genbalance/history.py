"""The curves of a training: one record, two sinks, a CSV file and the tracked run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genbalance.errors import UserError
from genbalance.tables import save_csv
from genbalance.tracking import Run


class History:
    """A row an epoch, the same numbers in the run and in the file.

    Raises:
        UserError: from :meth:`add`, when a number is NaN or infinite: the training has diverged.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows: list[dict[str, float]] = []

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """Records ``values`` for ``epoch``, fractions with six significant digits."""
        for name, value in values.items():
            if not abs(value) < float("inf"):
                raise UserError(
                    f"epoch {epoch}: {name} is {value}: the training has diverged; try a smaller learning rate"
                )
        rounded = {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in values.items()}
        self._rows.append({"epoch": epoch} | rounded)
        self._run.log(rounded, step=epoch)

    def state_dict(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the rows of epochs that the run has been told of before."""
        self._rows = list(state_dict["rows"])

    def tell_best(self, **choose: Callable[[list[float]], float]) -> None:
        """Tells the run the best value of each column named, as ``best_<column>``: what a table of runs shows of a
        curve by itself is its last point. ``choose`` picks it, such as ``min``."""
        self._run.log({f"best_{name}": pick([row[name] for row in self._rows]) for name, pick in choose.items()})

    def save(self, path: Path) -> None:
        """Writes the rows as CSV."""
        save_csv(path, pd.DataFrame(self._rows))
