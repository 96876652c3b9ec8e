"""The run of one stage: what a stage can log, batched."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from genbalance.tracking.models import image_schema, keep_trained
from genbalance.tracking.pictures import log_picture, read_picture
from genbalance.tracking.restored import log_restored
from genbalance.tracking.store import BATCH, Store, store_lock

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities import Metric
    from numpy.typing import NDArray

SYSTEM = "system/"  # the UI shows metrics of such names on a page of their own
EMPTY: Mapping[str, Path] = {}
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
            profile: what it is like, as JSON can hold it; ``height`` and ``width`` of its images are among it.
        """

    def model(self, kind: str, weights: Path, profile: Mapping[str, Any]) -> None:
        """The trained network, as a model that MLflow can load and call.

        Args:
            kind: gan, vae or classifier.
            weights: its file.
            profile: what it was trained on: ``height``, ``width``, ``classes``, and ``mean`` and ``std`` of the pixels.
        """

    def headline(self, values: Mapping[str, float], pictures: Mapping[str, Path] = EMPTY) -> None:
        """Metrics and PNG files of the whole pipeline run: they appear in its row, beside its parameters, and in the
        charts of such rows."""

    def restored(self) -> None:
        """Logs a run for each stage that DVC restored from its cache instead of running; for the pipeline's last."""

    def flush(self) -> None:
        """Sends what waits to be sent in a batch: a process that is killed from now on does not lose it."""


class MlflowRun:
    """A :class:`Run` in an MLflow store: a child of its pipeline's run.

    Args:
        store: where it is.
        stage: its name.
        run_id: its id.
        parent_id: of the pipeline's run.
        key: see :class:`Run`.
        known: the steps that the run has of each metric already: what a process logged that died and is resumed. They
            are not logged a second time.

    Raises:
        UserError: from any method, when the store does not take what it is given.
    """

    def __init__(
        self, store: Store, stage: str, run_id: str, parent_id: str, key: str, known: Mapping[str, set[int]]
    ) -> None:
        self.store, self.run_id, self.parent_id, self.key = store, run_id, parent_id, key
        self._stage, self._known = stage, known
        self._pending: list[Metric] = []
        self._step: int | None = None
        self._curves = {name for name, steps in known.items() if any(steps)}
        self._flushed = time.monotonic()
        self._samples: SimpleQueue[list[Metric]] = SimpleQueue()
        before = [step for name, steps in known.items() if name.startswith(SYSTEM) for step in steps]
        self._sampled = 1 + max(before, default=-1)

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See :class:`Run`. Sent in batches: a full one, or at a new step, or at the end.

        What a curve's name is told of the whole run is the value of the weights that were kept: a metric of its own,
        ``kept_<name>``, for the UI would draw it as the curve's step 0.
        """
        if step != self._step and time.monotonic() - self._flushed >= INTERVAL:
            self.flush()
        self._step = step
        if step is None:
            values = {f"kept_{name}" if name in self._curves else name: value for name, value in values.items()}
        else:
            self._curves |= values.keys()
        self._pending += _metrics({n: v for n, v in values.items() if (step or 0) not in self._known.get(n, ())}, step)
        if len(self._pending) >= BATCH:
            self.flush()

    def image(self, key: str, image: "NDArray[np.uint8]", step: int) -> None:
        """See :class:`Run`."""
        self.flush()
        with self.store.contact() as client:
            log_picture(client, self.run_id, image, key, step, self.run_id)

    def artifact(self, path: Path, folder: str = "") -> None:
        """See :class:`Run`."""
        if not path.exists():  # the caller's mistake, not the store's
            raise FileNotFoundError(path)
        self.flush()
        send = "log_artifacts" if path.is_dir() else "log_artifact"
        with self.store.contact() as client:
            getattr(client, send)(self.run_id, str(path), folder or None)

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, Any]) -> None:
        """See :class:`Run`. The pipeline's run shows it too."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        origin, schema = json.dumps({"uri": source}), image_schema(profile["height"], profile["width"])
        data = Dataset(name, digest[:36], "local", origin, schema, json.dumps(dict(profile)))
        given = [DatasetInput(data, [InputTag("mlflow.data.context", "pipeline")])]
        with self.store.contact() as client:
            for run_id in (self.run_id, self.parent_id):
                client.log_inputs(run_id, given)

    def model(self, kind: str, weights: Path, profile: Mapping[str, Any]) -> None:
        """See :class:`Run`."""
        self.flush()
        with self.store.contact() as client:
            keep_trained(client, self.store.experiment_id, self.run_id, kind, weights, profile)

    def headline(self, values: Mapping[str, float], pictures: Mapping[str, Path] = EMPTY) -> None:
        """See :class:`Run`."""
        with self.store.contact() as client:
            client.log_batch(self.parent_id, metrics=_metrics(values, None))
            for name, path in pictures.items():
                log_picture(client, self.parent_id, read_picture(path), name, 0, self.run_id)

    def restored(self) -> None:
        """See :class:`Run`."""
        self.flush()
        with store_lock(self.store.address):
            log_restored(self.store, self.parent_id, self._stage)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        from mlflow.entities import RunTag

        with self.store.contact() as client:
            client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def sample(self, load: Mapping[str, float], milliseconds: int) -> None:
        """The load of the machine at a time, in ms since 1970: from any thread, and sent with what is logged next."""
        from mlflow.entities import Metric

        self._samples.put([Metric(SYSTEM + name, value, milliseconds, self._sampled) for name, value in load.items()])
        self._sampled += 1

    def flush(self) -> None:
        """See :class:`Run`."""
        while not self._samples.empty():
            self._pending += self._samples.get()
        self._flushed = time.monotonic()
        while batch := self._pending[:BATCH]:
            with self.store.contact() as client:
                client.log_batch(self.run_id, metrics=batch)
            del self._pending[:BATCH]


def _metrics(values: Mapping[str, float], step: int | None) -> "list[Metric]":
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(name, float(value), now, step or 0) for name, value in values.items()]
