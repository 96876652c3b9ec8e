"""The run of one stage in MLflow, from its start to its end, and all that a stage can log.

A stage logs to the store in the project's folder. Where ``MLFLOW_TRACKING_URI`` names a remote store, the run is copied
there meanwhile (:mod:`genbalance.tracking.sync`), so that a server that is slow or away stops nothing.
"""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from genbalance.params import PARAMS_FILE, Params
from genbalance.runtime.errors import UserError
from genbalance.tracking.address import home_address, store_address
from genbalance.tracking.cached_stages import log_restored
from genbalance.tracking.energy import SYSTEM, WH, Meter
from genbalance.tracking.lineage import KEY, OUT, Lineage, lineage
from genbalance.tracking.models import image_schema, keep_trained
from genbalance.tracking.pipeline_run import REMAINING, close_abandoned, parent_of, settle
from genbalance.tracking.processes import PROCESS, dvc_command, dvc_has_ended, dvc_process, this_process
from genbalance.tracking.provenance import PARENT, STAGE, code_tags, code_version, environment_tags, shown
from genbalance.tracking.store import BATCH, Store, load_mlflow, metric_name, open_store, reach, store_lock
from genbalance.tracking.sync import copying
from genbalance.tracking.system import sampling
from genbalance.tracking.ui import SECTION

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from numpy.typing import NDArray

INTERVAL = 1.0  # seconds between two calls while steps go by: the UI shows progress, and the calls cost nothing
LOGGED_IMAGES = "mlflow.loggedImages"  # the tag without which the UI looks for no images
THUMBNAIL = 320  # pixels of the longer side: the UI's tile has room for 336, and does not scale it
KIND = "genbalance.kind"
LONGEST_NAME = 120  # characters of a run's name that the UI's table still shows
CURVES = "GENBALANCE_CURVES"
"""The environment's variable that names a file: whatever a stage logs at an epoch is appended there as a line of JSON,
at once, for `genbalance tune --prune`. MLflow's store would have to be asked for it again and again."""
NO_IMAGES: Mapping[str, Path] = {}


class Run:
    """A stage's run, a child of its pipeline's run. Nothing that is logged changes a result.

    Args:
        store: where it is.
        stage: its name.
        run_id: MLflow's id of it.
        parent_id: the id of the pipeline's run.
        key: the hash of what goes into the stage (:class:`genbalance.tracking.lineage.Lineage`).
        known: the steps of each metric that the run has already: a process logged them that died and is resumed. They
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
        self._drawn = 0.0
        self._flushed = time.monotonic()
        self._samples: SimpleQueue[list[Metric]] = SimpleQueue()
        before = [step for name, steps in known.items() if name.startswith(SYSTEM) for step in steps]
        self._sampled = 1 + max(before, default=-1)

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Metrics, at a step (an epoch, counted from 1) or once for the whole run.

        They are sent in batches: a full one, at a new step, and at the end. A value of the whole run whose name is that
        of a curve belongs to the weights that were kept; it is logged as ``kept_<name>``, since the UI would draw it as
        the curve's step 0.
        """
        values = {metric_name(name): value for name, value in values.items()}
        if step is not None and (curves := os.environ.get(CURVES)):
            _append(Path(curves), {"stage": self._stage, "step": step, "values": dict(values)})
        if step != self._step and time.monotonic() - self._flushed >= INTERVAL:
            self.flush()
        self._step = step
        if step is None:
            self._drawn = values.get("n", self._drawn)  # the samples that an evaluation has drawn
            values = {f"kept_{name}" if name in self._curves else name: value for name, value in values.items()}
        else:
            self._curves |= values.keys()
        self._pending += _metrics({n: v for n, v in values.items() if (step or 0) not in self._known.get(n, ())}, step)
        if len(self._pending) >= BATCH:
            self.flush()

    def image(self, key: str, image: "NDArray[np.uint8]", step: int) -> None:
        """An image [height, width] or [height, width, 3], 0 … 255; images of one key line up by step."""
        self.flush()
        with self.store.contact() as client:
            _log_image(client, self.run_id, image, key, step, self.run_id)

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file, or all that a folder holds, below ``folder`` among the run's artifacts."""
        if not path.exists():  # the caller's mistake, not the store's
            raise FileNotFoundError(path)
        self.flush()
        send = "log_artifacts" if path.is_dir() else "log_artifact"
        with self.store.contact() as client:
            getattr(client, send)(self.run_id, str(path), folder or None)

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, Any]) -> None:
        """The data that the stage reads; the pipeline's run shows it too.

        Args:
            name: the data's name.
            digest: a hash of its content, of which MLflow keeps 36 characters.
            source: where it comes from.
            profile: what it is like, as JSON can hold it, with ``channels``, ``height`` and ``width`` of its images.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        origin, schema = json.dumps({"uri": source}), image_schema(profile)
        data = Dataset(name, digest[:36], "local", origin, schema, json.dumps(dict(profile)))
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "pipeline")])]
        with self.store.contact() as client:
            for run_id in (self.run_id, self.parent_id):
                client.log_inputs(run_id, inputs)

    def model(self, kind: str, weights: Path, profile: Mapping[str, Any]) -> None:
        """The trained network, as a model that MLflow can load and call.

        Args:
            kind: the name of a model family, or classifier.
            weights: its file.
            profile: what it was trained on: ``channels``, ``height``, ``width``, ``classes``, and ``mean`` and ``std``
                of the pixels.
        """
        self.flush()
        with self.store.contact() as client:
            keep_trained(client, self.store.experiment_id, self.run_id, kind, weights, profile)

    def headline(self, values: Mapping[str, float], images: Mapping[str, Path] = NO_IMAGES) -> None:
        """Metrics and PNG files of the whole pipeline run: they appear in its row, beside its parameters, and in the
        charts of such rows."""
        with self.store.contact() as client:
            client.log_batch(self.parent_id, metrics=_metrics(values, None))
            for name, path in images.items():
                _log_image(client, self.parent_id, _read_image(path), name, 0, self.run_id)

    def restored(self) -> None:
        """Logs a run for each stage that DVC restored from its cache instead of running; for the pipeline's last."""
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

    def cost(self, meter: Meter) -> None:
        """What the stage has cost so far; of one that is resumed, in all its processes."""
        values = meter.read()
        if self._drawn:
            values[f"{WH}_per_1000_samples"] = values[WH] * 1000 / self._drawn
        self._pending += _metrics(values, None)  # also where a process that died has logged its own
        self.flush()
        self.tag(meter.tags())

    def flush(self) -> None:
        """Sends what waits to be sent in a batch: a process that is killed from now on does not lose it."""
        while not self._samples.empty():
            self._pending += self._samples.get()
        self._flushed = time.monotonic()
        while batch := self._pending[:BATCH]:
            with self.store.contact() as client:
                client.log_batch(self.run_id, metrics=batch)
            del self._pending[:BATCH]


@contextmanager
def tracked(stage: str, params: Params, resumable: Callable[[str], str] = lambda _key: "") -> Iterator[Run]:
    """The run of a stage, from start to end; how the block ends is how the run ends.

    FINISHED when it ends well, KILLED on Ctrl-C, SystemExit and the end of its DVC, FAILED on any other exception.

    Args:
        stage: its name.
        params: of this run.
        resumable: for the key of what goes into the stage, the id of the run of a process that died and whose work is
            about to be resumed, or "".

    Raises:
        UserError: the store cannot be used; the remote one refuses, or its address is none; a setting of
            :class:`~genbalance.tracking.energy.Meter` is none; what goes into the stage changed while it ran.
    """
    begun, meter = time.monotonic(), Meter(params.compute.device)
    ends = lineage(stage)
    load_mlflow()
    remote = store_address()
    run, is_new = _start(stage, params, ends, resumable(ends.key), meter)
    copies: AbstractContextManager[Callable[[], None]] = nullcontext(lambda: None)
    if remote.is_remote:
        copies = copying(run.store, remote, params.tracking.experiment, stage, run.run_id)
    with copies as begin_copying:
        try:
            _log_inputs(run, params, ends, is_new)
            begin_copying()  # a remote store that refuses runs does so before anything is computed
            with sampling(lambda load, when: run.sample({**load, **meter.read()}, when)):
                yield run
            if changed := ends.changed():
                raise UserError(
                    f"{', '.join(changed)}: changed while the stage ran, and DVC would record the new state with the "
                    "results of the old one; run it again (`dvc exp run --temp` runs in a copy)"
                )
            run.log({"duration_s": time.monotonic() - begun})
            run.cost(meter)
            run.tag({OUT + path: md5 for path, md5 in ends.outs().items()})
            if dvc_process():
                with run.store.contact() as client:
                    client.set_tag(run.parent_id, REMAINING, " ".join(ends.remaining(dvc_command(), params)))
        except BaseException as error:
            with suppress(UserError):  # the first error is the one that is raised
                run.cost(meter)
            with suppress(UserError):
                killed = isinstance(error, KeyboardInterrupt | SystemExit) or dvc_has_ended()
                _end(run, "KILLED" if killed else "FAILED")
            raise
        _end(run, "FINISHED")


def _start(stage: str, params: Params, ends: Lineage, resumed: str, meter: Meter) -> tuple[Run, bool]:
    """The stage's run below its parent, and whether it is a new one or one that is resumed, whose cost the meter adds
    to."""
    code = code_version()  # before the lock is taken: git takes a while
    home = home_address()
    with store_lock(home):
        store = open_store(home, params.tracking.experiment)
        close_abandoned(store, resumed)
        tags = code_tags(code)
        parent = parent_of(store, stage, code, params, tags)
        tags |= (
            environment_tags(params)
            | meter.tags()
            | {PARENT: parent, STAGE: stage, KEY: ends.key, PROCESS: this_process()}
        )
        found = store.search(f"attributes.run_id = '{resumed}'") if resumed else []
        known: dict[str, set[int]] = {}
        with store.contact() as client:
            if found:
                run_id = found[0].info.run_id
                meter.resume(found[0].data.metrics, found[0].data.tags)
                for name in found[0].data.metrics:
                    known[name] = {point.step for point in client.get_metric_history(run_id, name)}
                for name in (PARENT, PROCESS):  # first: a run that is RUNNING has a process
                    client.set_tag(run_id, name, tags[name])
                client.update_run(run_id, status="RUNNING")
            else:
                run_id = client.create_run(store.experiment_id, run_name=stage, tags=tags).info.run_id
    return Run(store, stage, run_id, parent, ends.key, known), not found


def _log_inputs(run: Run, params: Params, ends: Lineage, is_new: bool) -> None:
    """Logs all params to the parent, and to a new run those that its stage reads, and their file."""
    _log_params(run.store, run.parent_id, params.flat())
    if is_new:
        _log_params(run.store, run.run_id, shown(params.flat(), ends.params()))
        if PARAMS_FILE.exists():
            run.artifact(PARAMS_FILE)


def _log_params(store: Store, run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    with store.contact() as client:
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in values.items()])


def _end(run: Run, status: str) -> None:
    with run.store.contact() as client:
        client.set_terminated(run.run_id, status)
    with store_lock(run.store.address):
        settle(run.store, run.parent_id)


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with suppress(OSError), path.open("a", encoding="utf-8") as file:  # no training ends for want of it
        file.write(f"{json.dumps(line)}\n")


def _metrics(values: Mapping[str, float], step: int | None) -> "list[Metric]":
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(name, float(value), now, step or 0) for name, value in values.items()]


def _read_image(path: Path) -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def _log_image(
    client: "MlflowClient", run_id: str, image: "NDArray[np.uint8]", key: str, step: int, origin: str
) -> None:
    """Writes what MLflow's log_image writes, a PNG and a small WebP in ``images/``, under a name that is the same each
    time, so that an image that is sent twice is there once; MLflow draws the name at random.

    The UI reads key and step in the name, and the part of the key before a slash (``~`` there) as a section of charts.

    Args:
        client: of the store.
        run_id: of the run that gets the image.
        image: [height, width] or [height, width, 3], 0 … 255.
        key: what the images of a row have in common.
        step: where in the row this one stands.
        origin: the run that drew it; with key and step it makes the name.
    """
    from mlflow.tracking.multimedia import compress_image_size, convert_to_pil_image

    picture = convert_to_pil_image(image)
    name = f"{SECTION}~{key}+step+{step}+timestamp+{step}+{uuid.uuid5(uuid.NAMESPACE_OID, f'{origin}/{key}/{step}')}"
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / f"{name}.png", Path(folder) / f"{name}+compressed.webp"
        for file, version in zip(files, (picture, compress_image_size(picture, THUMBNAIL)), strict=True):
            version.save(file)
            client.log_artifact(run_id, str(file), "images")
    client.set_tag(run_id, LOGGED_IMAGES, "True")


def keep_folder(experiment: str, name: str, kind: str, folder: Path) -> str:
    """Makes a run that holds nothing but artifacts, such as a comparison of other runs; it belongs to no pipeline run.

    Args:
        experiment: the name of MLflow's.
        name: the run's, cut to 120 characters.
        kind: of the run, its tag ``genbalance.kind``.
        folder: whose files are logged.

    Returns:
        The run's name.

    Raises:
        UserError: the store cannot be reached or used.
    """
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    tags = code_tags(code_version()) | {KIND: kind}
    store = reach(experiment)
    with store.contact() as client:
        run_id = client.create_run(store.experiment_id, run_name=short, tags=tags).info.run_id
        try:
            client.log_artifacts(run_id, str(folder))
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
    return short
