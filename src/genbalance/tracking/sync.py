"""Copies runs from a store in a file to another store: as often as wanted, each thing once.

Every stage logs to the store in the project's folder. Where ``MLFLOW_TRACKING_URI`` names a remote one, what is new
is copied to it while the stage runs and when it ends; what a server that was away did not get, and the runs of another
machine's file, are copied in the same way. A copy has its original's id as a tag, by which it is found again.
"""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tqdm import tqdm

from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import root
from genbalance.tracking.address import StoreAddress, local_path
from genbalance.tracking.contact import OutageError, store_errors
from genbalance.tracking.pipeline_run import DVC
from genbalance.tracking.processes import PROCESS, is_dead
from genbalance.tracking.provenance import ORIGIN, PARENT
from genbalance.tracking.sqlite_file import ARTIFACTS, artifacts_beside
from genbalance.tracking.store import BATCH, Store, connect, open_store, store_lock

if TYPE_CHECKING:
    from mlflow.entities import Run

COPIED = "genbalance.copied."  # and a hash of the target, of an original: its state when it was copied there last
OWN = (PARENT, PROCESS, DVC, ORIGIN, COPIED)  # tags, or their beginnings, that mean something in their own store alone
DEFAULT = "Default"  # MLflow's own experiment, in which we keep nothing
INTERVAL = 5.0  # seconds between two copies of a run that is under way
WAIT_AT_END = 30.0  # seconds that a stage waits for the copies; what is left is copied at the next contact
ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass
class Copy:
    """What the copy of a run has already."""

    run_id: str
    status: str = ""
    ended: int = 0  # ms since 1970
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
        self._copies: dict[str, Copy] = {}
        with target.contact() as client:  # later there may be another store at the same address
            created = client.get_experiment(target.experiment_id).creation_time
        place = f"{target.address}\n{target.experiment_id}\n{created}"  # without its password, which may change
        self._tag = COPIED + hashlib.sha256(place.encode()).hexdigest()[:8]

    def copy(self, run: "Run") -> None:
        """Copies a run with its parent, so far as the target does not have it.

        Raises:
            UserError: the target refused it; an :class:`OutageError` if it is away. What is left is copied next time.
        """
        try:
            above = run.data.tags.get(PARENT)
            parents = self._source.search(f"attributes.run_id = '{above}'") if above else []  # it may have been deleted
            self._copy(run, self._copy(parents[0], "") if parents else "")
        except BaseException:
            self._copies.clear()  # what has arrived is not known
            raise
        if run.info.status in ENDED:
            del self._copies[run.info.run_id]

    def copy_waiting(self, mark: bool = True) -> int:
        """Copies all runs of the source's experiment that the target does not have as they are now.

        Args:
            mark: whether the source is the project's own. Which of its runs the target has is then written into it, and
                runs that a living process is logging to are left to that process.

        Returns:
            How many.

        Raises:
            UserError: as :meth:`copy`; a run that is refused keeps no other from being copied.
        """
        refusals: list[UserError] = []
        copied = 0
        for listed in [run for run in self._source.search("")[::-1] if self._is_waiting(run, mark)]:
            run_id = listed.info.run_id
            with self._source.contact() as client:
                run = client.get_run(run_id)  # as it is now: copying the others may have taken minutes
            if not self._is_waiting(run, mark):
                continue
            try:
                self.copy(run)
            except OutageError:
                raise
            except UserError as error:
                refusals.append(error)
                continue
            copied += 1
            if mark and run.info.status in ENDED:
                with self._source.contact() as client:
                    client.set_tag(run_id, self._tag, _state(run))
        if refusals:
            raise refusals[0]
        return copied

    def _is_waiting(self, run: "Run", mark: bool) -> bool:
        """Whether the target may lack something of a run, and nobody else copies it."""
        under_way = run.info.status == "RUNNING" and not is_dead(run.data.tags.get(PROCESS, ""))
        return run.data.tags.get(self._tag) != _state(run) and not (mark and under_way)

    def _copy(self, run: "Run", parent: str) -> str:
        """The id of a run's copy, made or completed."""
        from mlflow.entities import Param, RunTag

        copy = self._copies.get(run.info.run_id) or self._find(run, parent)
        self._copies[run.info.run_id] = copy
        is_copy = ORIGIN in run.data.tags  # and perhaps an old one: it adds to what is there, and changes nothing
        with self._source.contact() as client:
            points = [
                point
                for name in run.data.metrics
                for point in client.get_metric_history(run.info.run_id, name)
                if (point.timestamp, point.step) not in copy.points.get(name, ())
            ]
        with self._target.contact() as client:
            params = [Param(name, value) for name, value in run.data.params.items() if name not in copy.params]
            wanted = {name: value for name, value in run.data.tags.items() if not name.startswith(OWN)}
            wanted |= {PARENT: parent} if parent else {}
            if is_copy:
                wanted = {name: value for name, value in wanted.items() if name not in copy.tags}
            tags = [RunTag(name, value) for name, value in wanted.items() if copy.tags.get(name) != value]
            if params or tags:
                client.log_batch(copy.run_id, params=params, tags=tags)
            points.sort(key=lambda point: (point.timestamp, point.step))
            for start in range(0, len(points), BATCH):
                client.log_batch(copy.run_id, metrics=points[start : start + BATCH])
            copy.params |= run.data.params.keys()
            copy.tags |= wanted
            for point in points:
                copy.points.setdefault(point.key, set()).add((point.timestamp, point.step))
            if run.inputs and run.inputs.dataset_inputs and not copy.datasets:
                client.log_inputs(copy.run_id, run.inputs.dataset_inputs)
                copy.datasets = True
            for file, name in self._files(run.info.artifact_uri):
                size = file.stat().st_size  # before it is sent: it may be growing
                if copy.files.get(name) != size and not (is_copy and name in copy.files):
                    client.log_artifact(copy.run_id, str(file), _folder(name))
                    copy.files[name] = size
            status, ended = run.info.status, run.info.end_time or 0
            if status == "RUNNING" and PARENT in run.data.tags and is_dead(run.data.tags.get(PROCESS, "")):
                status = "KILLED"
            stale = is_copy and copy.status in ENDED and ended <= copy.ended
            if status != copy.status and not stale:
                if status in ENDED:
                    client.set_terminated(copy.run_id, status, run.info.end_time)
                else:
                    client.update_run(copy.run_id, status=status)
                copy.status, copy.ended = status, ended
            if run.info.status in ENDED:
                self._copy_models(run, copy.run_id)
        return copy.run_id

    def _find(self, run: "Run", parent: str) -> Copy:
        """A run's copy and what it has; made where there is none."""
        origin = run.data.tags.get(ORIGIN, run.info.run_id)
        with store_lock(self._target.address), self._target.contact() as client:
            found = self._target.search(f"attributes.run_id = '{origin}'")
            found = found or self._target.search(f"tags.`{ORIGIN}` = '{origin}'")
            if not found:
                tags = {ORIGIN: origin} | ({PARENT: parent} if parent else {})
                made = client.create_run(self._target.experiment_id, run.info.start_time, tags, run.info.run_name)
                return Copy(made.info.run_id, "RUNNING", tags=tags)
        # more than one where a slow server was asked twice to make it: one of them is empty
        there = max(found, key=lambda each: len(each.data.params) + len(each.data.metrics))
        run_id = there.info.run_id
        with self._target.contact() as client:
            return Copy(
                run_id,
                there.info.status,
                there.info.end_time or 0,
                {*there.data.params},
                dict(there.data.tags),
                {n: {(p.timestamp, p.step) for p in client.get_metric_history(run_id, n)} for n in there.data.metrics},
                dict(self._listed(run_id, "")),
                bool(there.inputs and there.inputs.dataset_inputs),
            )

    def _listed(self, run_id: str, folder: str) -> Iterator[tuple[str, int | None]]:
        for file in self._target.client.list_artifacts(run_id, folder):
            if file.is_dir:
                yield from self._listed(run_id, file.path)
            else:
                yield file.path, file.file_size

    def _files(self, uri: str) -> list[tuple[Path, str]]:
        """The files below an artifact address of the source, and their paths there; none of what lies elsewhere than on
        this machine, and stays there."""
        if urlsplit(uri).scheme not in ("", "file"):
            return []
        place = local_path(uri)
        if self._source.address.file:  # it may have been moved, and is only read
            moved = artifacts_beside(self._source.address.file) / str(place).rpartition(f"/{ARTIFACTS}/")[2]
            place = moved if moved.is_dir() else place
        return [(file, file.relative_to(place).as_posix()) for file in sorted(place.rglob("*")) if file.is_file()]

    def _copy_models(self, run: "Run", target: str) -> None:
        """Copies the logged models that a run has made; the caller handles the errors of the client."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        ready, client = LoggedModelStatus.READY, self._target.client
        made = f"source_run_id = '{run.info.run_id}'"
        models = self._source.client.search_logged_models([self._source.experiment_id], made)
        there = client.search_logged_models([self._target.experiment_id], f"source_run_id = '{target}'")
        copies = {model.tags.get(ORIGIN, model.model_id): model for model in there}
        for model in models:
            files, origin = self._files(model.artifact_location), model.tags.get(ORIGIN, model.model_id)
            copy = copies.get(origin)
            if model.status != ready or not files or (copy and copy.status == ready):
                continue
            if copy is None:
                tags, params = {**model.tags, ORIGIN: origin}, dict(model.params or {})
                copy = client.create_logged_model(self._target.experiment_id, model.name, target, tags, params)
            for file, name in files:
                client.log_model_artifact(copy.model_id, str(file), _folder(name))
            client.finalize_logged_model(copy.model_id, ready)
            client.log_outputs(target, [LoggedModelOutput(copy.model_id, 0)])


@contextmanager
def copying(
    source: Store, address: StoreAddress, experiment: str, stage: str, run_id: str
) -> Iterator[Callable[[], None]]:
    """Copies a stage's run to a remote store in a thread, every 5 seconds and when the block ends, then with all that
    waits in the source: a server that is slow or away delays no training, and the end of a stage by 30 seconds.

    Args:
        source: where the stage logs.
        address: of the remote store.
        experiment: the name of the one in it.
        stage: whose run it is, for what is printed.
        run_id: of the run.

    Yields:
        A function that begins it, with a first copy: it raises a UserError where the remote store refuses, and not
        where it is away.
    """
    ended, well = threading.Event(), threading.Event()
    copiers: list[Copier] = []
    printed: list[str] = []  # why it was not copied

    def copier() -> Copier:
        if not copiers:
            with store_lock(address):
                store = open_store(address, experiment)
            copiers.append(Copier(source, store))
        return copiers[0]

    def failed(error: Exception) -> None:
        copiers.clear()
        cause = f"{address}: {error.cause}" if isinstance(error, OutageError) else address.redacted(str(error))
        if cause not in printed:
            printed.append(cause)
            _print(f"{stage}: {cause}; the run is in {source.address} and copied at the next contact")

    def copy() -> None:
        with source.contact() as client:
            copier().copy(client.get_run(run_id))

    def follow() -> None:
        while not ended.wait(INTERVAL):
            try:
                copy()
            except Exception as error:  # of any kind: the stage goes on
                failed(error)
        try:
            with _one_at_a_time():
                copy()
                if well.is_set() and (waited := copier().copy_waiting()) and (printed or waited > 2):
                    _print(f"{stage}: {waited} runs copied to {address}")  # not for its own run and its parent alone
        except Exception as error:
            failed(error)

    thread = threading.Thread(target=follow, name="copying", daemon=True)

    def begin() -> None:
        try:
            copy()
        except OutageError as error:
            failed(error)
        thread.start()

    is_whole = False
    try:
        yield begin
        is_whole = True
    finally:
        if thread.ident is not None:  # and not refused
            if is_whole:
                well.set()
            ended.set()
            try:
                thread.join(WAIT_AT_END)
            except (KeyboardInterrupt, SystemExit):
                if not is_whole:
                    raise  # as the stage ended; a stage that is whole stays so if the wait for its copies is cut short
            if thread.is_alive():
                _print(f"{stage}: {address} is slow; what it has not got is copied at the next contact")


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
    with store_lock(source), store_errors(source):
        client = connect(source, change=False)
        found = [experiment for experiment in client.search_experiments() if experiment.name != DEFAULT]
    copied = 0
    refusals: list[UserError] = []
    for experiment in found:
        try:
            with store_lock(target):
                other = open_store(target, experiment.name)
            with _one_at_a_time():
                copied += Copier(Store(source, client, experiment.experiment_id), other).copy_waiting(mark)
        except OutageError:
            raise
        except UserError as error:  # such as an experiment that was deleted there
            refusals.append(error)
    if refusals:
        raise refusals[0]
    return copied


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A lock for the copies of ended runs: two processes at once would both make what does not exist yet."""
    from filelock import FileLock

    path = root() / ".dvc/tmp/copying.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def _state(run: "Run") -> str:
    return f"{run.info.status} {run.info.end_time}"


def _folder(name: str) -> str | None:
    return str(Path(name).parent) if "/" in name else None


def _print(line: str) -> None:
    with suppress(OSError, ValueError):  # the terminal may be closed
        tqdm.write(line, file=sys.stderr)  # above a training's progress bar
