"""Copying runs from a store in a file to another store: as often as wanted, each thing once.

Every stage logs to the store in the project's folder. Where ``MLFLOW_TRACKING_URI`` names a remote one, what is new
there is copied to it while the stage runs and when it ends; what a server that was away did not get, and the runs of
another machine's file, are copied in the same way. A copy carries its original's id, by which it is found again.
"""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from genbalance.errors import UserError
from genbalance.tracking.address import StoreAddress, local_path
from genbalance.tracking.contact import OutageError
from genbalance.tracking.pipeline import DVC
from genbalance.tracking.processes import TAG, is_dead
from genbalance.tracking.sqlite_file import ARTIFACTS, artifacts_beside
from genbalance.tracking.store import BATCH, Store, connect, open_store, store_lock
from genbalance.tracking.tags import PARENT

if TYPE_CHECKING:
    from mlflow.entities import Run

ORIGIN = "genbalance.origin"  # of a copy: the id of the run or model that it is a copy of
COPIED = "genbalance.copied."  # and a hash of the target's address, of an original: its state when it was copied last
OWN = (PARENT, TAG, DVC, ORIGIN, COPIED)  # tags, or their beginnings, that mean something in their own store alone
DEFAULT = "Default"  # MLflow's own experiment, in which we keep nothing
INTERVAL = 5.0  # seconds between two copies of a run that is under way
ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass
class Held:
    """What the copy of a run has already."""

    run_id: str
    status: str = ""
    params: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, set[tuple[int, int]]] = field(default_factory=dict)  # (time, step) by metric
    files: dict[str, int | None] = field(default_factory=dict)  # bytes by path
    datasets: bool = False


class Copier:
    """Copies from one store to another, and remembers what the other has.

    Args:
        source: in a file.
        target: any other.
    """

    def __init__(self, source: Store, target: Store) -> None:
        self._source, self._target = source, target
        self._held: dict[str, Held] = {}

    def copy(self, run: "Run") -> None:
        """Copies a run with its parent, so far as the target does not have it.

        Raises:
            UserError: the target refused it; an :class:`OutageError` if it is away. What is left is copied next time.
        """
        try:
            parent = self._source.client.get_run(run.data.tags[PARENT]) if PARENT in run.data.tags else None
            above = self._copy(parent, "") if parent else ""
            self._copy(run, above)
        except BaseException:
            self._held.clear()  # what of it has arrived is not known
            raise

    def copy_waiting(self, mark: bool = True) -> int:
        """Copies all runs of the source's experiment that the target does not have as they are now, but for those that
        a living process is logging to: that one copies them.

        Args:
            mark: whether the source may be written: which of its runs the target has is then known without asking it.

        Returns:
            How many.

        Raises:
            UserError: as :meth:`copy`.
        """
        tag = COPIED + hashlib.sha256(str(self._target.address).encode()).hexdigest()[:8]
        waiting = [run for run in self._source.search("")[::-1] if run.data.tags.get(tag) != _state(run)]
        busy = [run for run in waiting if run.info.status == "RUNNING" and not is_dead(run.data.tags.get(TAG, "/"))]
        mine = [run for run in waiting if run not in busy]
        for run in mine:
            self.copy(run)
            if mark and run.info.status in ENDED:
                with self._source.contact() as client:
                    client.set_tag(run.info.run_id, tag, _state(run))
        return len(mine)

    def _copy(self, run: "Run", parent: str) -> str:
        """The id of a run's copy, made or completed."""
        from mlflow.entities import Param, RunTag

        held = self._held.get(run.info.run_id) or self._find(run, parent)
        is_copy = ORIGIN in run.data.tags  # and perhaps an old one: it adds to what is there, and changes nothing
        with self._target.contact() as client:
            params = [Param(name, value) for name, value in run.data.params.items() if name not in held.params]
            wanted = {name: value for name, value in run.data.tags.items() if not name.startswith(OWN)}
            wanted |= {PARENT: parent} if parent else {}
            if is_copy:
                wanted = {name: value for name, value in wanted.items() if name not in held.tags}
            tags = [RunTag(name, value) for name, value in wanted.items() if held.tags.get(name) != value]
            if params or tags:
                client.log_batch(held.run_id, params=params, tags=tags)
            points = [
                point
                for name in run.data.metrics
                for point in self._source.client.get_metric_history(run.info.run_id, name)
                if (point.timestamp, point.step) not in held.points.get(name, ())
            ]
            points.sort(key=lambda point: (point.timestamp, point.step))
            for start in range(0, len(points), BATCH):
                client.log_batch(held.run_id, metrics=points[start : start + BATCH])
            held.params |= run.data.params.keys()
            held.tags |= wanted
            for point in points:
                held.points.setdefault(point.key, set()).add((point.timestamp, point.step))
            if run.inputs and run.inputs.dataset_inputs and not held.datasets:
                client.log_inputs(held.run_id, run.inputs.dataset_inputs)
                held.datasets = True
            for file, name in self._files(run.info.artifact_uri):
                if held.files.get(name) != file.stat().st_size:
                    client.log_artifact(held.run_id, str(file), _folder(name))
                    held.files[name] = file.stat().st_size
            if run.info.status in ENDED:
                self._copy_models(run, held.run_id)
            status = run.info.status
            if status == "RUNNING" and PARENT in run.data.tags and is_dead(run.data.tags.get(TAG, "")):
                status = "KILLED"
            if status != held.status and not (is_copy and held.status in ENDED):
                if status in ENDED:
                    client.set_terminated(held.run_id, status, run.info.end_time)
                else:
                    client.update_run(held.run_id, status=status)
                held.status = status
        self._held[run.info.run_id] = held
        return held.run_id

    def _find(self, run: "Run", parent: str) -> Held:
        """A run's copy and what it has; made where there is none."""
        origin = run.data.tags.get(ORIGIN, run.info.run_id)
        with store_lock(self._target.address), self._target.contact() as client:
            for where in ("attributes.run_id", f"tags.`{ORIGIN}`"):
                for found in self._target.search(f"{where} = '{origin}'"):
                    return Held(
                        found.info.run_id,
                        found.info.status,
                        {*found.data.params},
                        dict(found.data.tags),
                        {
                            name: {(p.timestamp, p.step) for p in client.get_metric_history(found.info.run_id, name)}
                            for name in found.data.metrics
                        },
                        dict(self._listed(found.info.run_id, "")),
                        bool(found.inputs and found.inputs.dataset_inputs),
                    )
            tags = {ORIGIN: origin} | ({PARENT: parent} if parent else {})
            made = client.create_run(self._target.experiment_id, run.info.start_time, tags, run.info.run_name)
        return Held(made.info.run_id, "RUNNING", tags=tags)

    def _listed(self, run_id: str, folder: str) -> Iterator[tuple[str, int | None]]:
        for file in self._target.client.list_artifacts(run_id, folder):
            if file.is_dir:
                yield from self._listed(run_id, file.path)
            else:
                yield file.path, file.file_size

    def _files(self, uri: str) -> list[tuple[Path, str]]:
        """The files below an artifact address of the source, and their paths there."""
        place = local_path(uri)
        if self._source.address.file:  # it may have been moved, and is only read
            below = str(place).rpartition(f"/{ARTIFACTS}/")[2]
            moved = artifacts_beside(self._source.address.file) / below
            place = moved if moved.is_dir() else place
        return [(file, file.relative_to(place).as_posix()) for file in sorted(place.rglob("*")) if file.is_file()]

    def _copy_models(self, run: "Run", target: str) -> None:
        """The logged models that a run has made."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        made = f"source_run_id = '{run.info.run_id}'"
        models = self._source.client.search_logged_models([self._source.experiment_id], made)
        there = self._target.client.search_logged_models([self._target.experiment_id], f"source_run_id = '{target}'")
        ready = {model.tags.get(ORIGIN, model.model_id) for model in there if model.status == LoggedModelStatus.READY}
        for model in models:
            origin = model.tags.get(ORIGIN, model.model_id)
            if origin in ready or model.status != LoggedModelStatus.READY:
                continue
            client = self._target.client
            tags, params = {**model.tags, ORIGIN: origin}, dict(model.params or {})
            copy = client.create_logged_model(self._target.experiment_id, model.name, target, tags, params)
            for file, name in self._files(model.artifact_location):
                client.log_model_artifact(copy.model_id, str(file), _folder(name))
            client.finalize_logged_model(copy.model_id, LoggedModelStatus.READY)
            client.log_outputs(target, [LoggedModelOutput(copy.model_id, 0)])


@contextmanager
def copying(
    source: Store, address: StoreAddress, experiment: str, stage: str, run_id: str
) -> Iterator[Callable[[], None]]:
    """Copies a stage's run to a remote store in a thread, every 5 seconds, and when the block ends all that waits in
    the source: a server that is slow or away holds up no training.

    Args:
        source: where the stage logs.
        address: of the remote store.
        experiment: the name of the one in it.
        stage: whose run it is, for what is printed.
        run_id: of the run.

    Yields:
        What begins it, with a first copy: it raises a UserError where the remote store refuses, and not where it is
        away.
    """
    ended, away = threading.Event(), threading.Event()
    copiers: list[Copier] = []

    def copier() -> Copier:
        if not copiers:
            with store_lock(address):
                copiers.append(Copier(source, open_store(address, experiment)))
        return copiers[0]

    def failed(error: UserError) -> None:
        copiers.clear()
        if not away.is_set():
            cause = f"{address}: {error.cause}" if isinstance(error, OutageError) else str(error)
            _tell(f"{stage}: {cause}; the run is in {source.address} and copied at the next contact")
        away.set()

    def copy() -> None:
        copier().copy(source.client.get_run(run_id))

    def finish() -> None:
        try:
            waited = copier().copy_waiting()
            if away.is_set() or waited > 2:  # the run and its parent are no news
                _tell(f"{stage}: {waited} runs copied to {address}")
        except UserError as error:
            failed(error)

    def follow() -> None:
        while not ended.wait(INTERVAL):
            try:
                copy()
            except UserError as error:
                failed(error)

    thread = threading.Thread(target=follow, name="copying", daemon=True)

    def begin() -> None:
        try:
            copy()
        except OutageError as error:
            failed(error)
        thread.start()

    try:
        yield begin
    finally:
        if thread.is_alive():  # and not refused
            ended.set()
            thread.join()
            finish()


def copy_all(source: StoreAddress, target: StoreAddress, mark: bool) -> int:
    """Copies what a target does not have of all experiments of a source. Call it with MLflow loaded.

    Args:
        source: a store in a file.
        target: any other.
        mark: see :meth:`Copier.copy_waiting`.

    Returns:
        How many runs, those that were there and incomplete among them.

    Raises:
        UserError: a store cannot be used, or the target refused; what is left is copied next time.
    """
    with store_lock(source):
        found = connect(source, change=False).search_experiments()
    copied = 0
    for name in (experiment.name for experiment in found if experiment.name != DEFAULT):
        with store_lock(source):
            one = open_store(source, name, change=False)
        with store_lock(target):
            other = open_store(target, name)
        copied += Copier(one, other).copy_waiting(mark)
    return copied


def _state(run: "Run") -> str:
    return f"{run.info.status} {run.info.end_time}"


def _folder(name: str) -> str | None:
    return str(Path(name).parent) if "/" in name else None


def _tell(line: str) -> None:
    tqdm.write(line, file=sys.stderr)  # above a training's bar
