"""The run of one stage: what a stage can log, batched."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities import Metric
    from numpy.typing import NDArray

    from genbalance.tracking.store import Store

BATCH = 1000  # metrics that MLflow takes in one call
INTERVAL = 1.0  # seconds between two calls while steps go by: the UI shows progress, and the calls cost nothing


class Run(Protocol):
    """What a stage can log. Nothing here changes a result.

    Attributes:
        run_id: the tracker's name for it.
        key: of what goes into the stage (:class:`genbalance.tracking.lineage.Lineage`).
    """

    run_id: str
    key: str

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Metrics, at a step (an epoch, counted from 1) or once for the whole run."""

    def image(self, key: str, image: "NDArray[np.uint8]", step: int) -> None:
        """A picture [height, width] or [height, width, 3], 0 … 255; pictures of one key line up by step."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file, or all that a folder holds, below ``folder`` among the run's artifacts."""

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, Any]) -> None:
        """The data that the stage saw.

        Args:
            name: the data's name.
            digest: a hash of its content, of which MLflow keeps 36 characters.
            source: where it comes from.
            profile: its size, classes and the like, as JSON can hold them.
        """

    def headline(self, values: Mapping[str, float]) -> None:
        """Metrics of the whole pipeline run: they appear in its row, beside its parameters."""


class MlflowRun:
    """A :class:`Run` in an MLflow store: a child of its pipeline's run.

    Raises:
        UserError: from any method, when the store does not take what it is given.
    """

    def __init__(self, store: "Store", run_id: str, parent_id: str, key: str) -> None:
        self.run_id = run_id
        self.key = key
        self.parent_id = parent_id
        self._store = store
        self._pending: list[Metric] = []
        self._step: int | None = None
        self._flushed = time.monotonic()

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See :class:`Run`. Sent in batches: a full one, or at a new step, or at the end."""
        if step != self._step and time.monotonic() - self._flushed >= INTERVAL:
            self.flush()
        self._step = step
        self._pending += _metrics(values, step)
        if len(self._pending) >= BATCH:
            self.flush()

    def image(self, key: str, image: "NDArray[np.uint8]", step: int) -> None:
        """See :class:`Run`."""
        with self._sending() as client:
            client.log_image(self.run_id, image, key=key, step=step)

    def artifact(self, path: Path, folder: str = "") -> None:
        """See :class:`Run`."""
        if not path.exists():  # the caller's mistake, not the store's
            raise FileNotFoundError(path)
        with self._sending() as client:
            send = client.log_artifacts if path.is_dir() else client.log_artifact
            send(self.run_id, str(path), folder or None)

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, Any]) -> None:
        """See :class:`Run`. The pipeline's run shows it too."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name, digest[:36], "local", json.dumps({"uri": source}), profile=json.dumps(dict(profile)))
        with self._sending() as client:
            for run_id in (self.run_id, self.parent_id):
                client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "pipeline")])])

    def headline(self, values: Mapping[str, float]) -> None:
        """See :class:`Run`."""
        with self._sending() as client:
            client.log_batch(self.parent_id, metrics=_metrics(values, None))

    def flush(self) -> None:
        """Sends what is pending."""
        self._flushed = time.monotonic()
        while self._pending:
            with self._store.contact() as client:
                client.log_batch(self.run_id, metrics=self._pending[:BATCH])
            del self._pending[:BATCH]

    @contextmanager
    def _sending(self) -> Iterator[Any]:
        self.flush()
        with self._store.contact() as client:
            yield client


def _metrics(values: Mapping[str, float], step: int | None) -> "list[Metric]":
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(name, float(value), now, step or 0) for name, value in values.items()]
