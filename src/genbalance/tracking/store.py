"""An MLflow store: its lock, opening it, and the experiment in it that holds our runs."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from genbalance.families.registry import Family, known
from genbalance.params import read_params
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import root
from genbalance.tracking.address import URI, StoreAddress, local_path, store_address
from genbalance.tracking.contact import SHORT_TIMEOUTS, store_errors
from genbalance.tracking.sqlite_file import artifacts_beside, check_schema, relocate
from genbalance.tracking.ui import TAG, experiment_tags, is_current, view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ARTIFACT_ROOT = "MLFLOW_DEFAULT_ARTIFACT_ROOT"  # of a new experiment's artifacts, for MLflow's server and for us
BATCH = 1000  # metrics that MLflow takes in one call
LONGEST_METRIC = 250  # characters of a metric's name, MLflow's limit
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # errors are raised, and printed by us as one line
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def metric_name(name: str) -> str:
    """A metric's name as MLflow takes it: a class, which is a part of some, may be called anything. What is too long or
    has other characters than MLflow's, which become ``_``, ends in its md5, so that two names stay two."""
    allowed = re.sub(r"[^\w.\- :]", "_", name)
    if allowed == name and len(name) <= LONGEST_METRIC:
        return name
    md5 = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{allowed[: LONGEST_METRIC - 9]}_{md5[:8]}"


@dataclass(frozen=True)
class Store:
    """An open MLflow store and our experiment in it."""

    address: StoreAddress
    client: "MlflowClient"
    experiment_id: str

    @contextmanager
    def contact(self) -> "Iterator[MlflowClient]":
        """The client; an error of the store is one line.

        Raises:
            UserError: the store cannot be reached, or refused.
        """
        with store_errors(self.address):
            yield self.client

    def search(self, condition: str) -> "list[Run]":
        """The experiment's runs that meet a condition in MLflow's words, the newest first."""
        order = ["attributes.start_time DESC"]
        with self.contact() as client:
            page = client.search_runs([self.experiment_id], condition, order_by=order)
            found = list(page)
            while page.token:
                page = client.search_runs([self.experiment_id], condition, order_by=order, page_token=page.token)
                found += page
        return found


def load_mlflow() -> None:
    """Imports MLflow, which takes seconds: call it before a lock is taken, so that no other process waits for it."""
    for name, value in (QUIET | SHORT_TIMEOUTS).items():
        os.environ.setdefault(name, value)
    import_module("mlflow")


@contextmanager
def store_lock(address: StoreAddress) -> Iterator[None]:
    """The lock of a store, to be held while it is opened, and while a pipeline's run is looked for in it.

    It lies beside an SQLite file, whose tables two processes would otherwise create at once (one of them crashes);
    for any other store it is this repository's own.

    Raises:
        UserError: the lock cannot be written, or another process held it for two minutes.
    """
    from filelock import FileLock

    path = address.file.with_name(f"{address.file.name}.lock") if address.file else root() / ".dvc/tmp/tracking.lock"
    lock = FileLock(path)
    with store_errors(address):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=120)
    try:
        yield
    finally:
        lock.release()


def open_store(address: StoreAddress, experiment: str, change: bool = True) -> Store:
    """The store, made when there is none, and the experiment in it. Call it with MLflow loaded and the lock held.

    Args:
        address: the store's.
        experiment: its name, created when there is none of that name. Its artifacts lie beside an SQLite store, where
            ``MLFLOW_DEFAULT_ARTIFACT_ROOT`` says for any other database, and where a server wants them.
        change: whether the store may be brought up to MLflow's present schema, with a copy kept.

    Raises:
        UserError: the store cannot be reached or used; that is known within seconds.
    """
    families = _shown_families()
    with store_errors(address):
        client = connect(address, change)
        if found := client.get_experiment_by_name(experiment):
            if found.name != experiment:
                raise other_server(address)
            if found.lifecycle_stage == "deleted":
                raise UserError(
                    f"tracking.experiment: {experiment!r} was deleted in {address}; take another name, or "
                    f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
                )
            if address.is_database:
                _check_place(address, found.artifact_location)
            if not is_current(found.tags, families):
                client.set_experiment_tag(found.experiment_id, TAG, view(families))
            return Store(address, client, found.experiment_id)
        tags = experiment_tags(families)
        created = client.create_experiment(experiment, artifact_location=_place(address), tags=tags)
        if not created:
            raise other_server(address)
        return Store(address, client, created)


def _shown_families() -> list[Family]:
    """The families that the shared view and the description show: all but those that params.yaml turns off."""
    try:
        switches = read_params().families.model_dump()
    except UserError:  # no project's folder: nothing is off
        switches = {}
    return [family for name, family in known().items() if switches.get(name, True)]


def connect(address: StoreAddress, change: bool) -> "MlflowClient":
    """MLflow's client of a store that can be reached. Call it with MLflow loaded and the lock held.

    Args:
        address: the store's.
        change: see :func:`open_store`.

    Raises:
        UserError: an SQLite store has an older schema, and must not be changed.
    """
    from mlflow import MlflowClient

    if address.file and address.file.exists():
        check_schema(address, change)
        with nullcontext() if change else suppress(sqlite3.OperationalError):  # a file that can only be read
            relocate(address.file)
    if address.is_database:  # MLflow tries to connect for 100 seconds
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        create_engine(address.raw, poolclass=NullPool).connect().close()
    return MlflowClient(tracking_uri=address.raw)


def disconnect(address: StoreAddress) -> None:
    """Ends MLflow's connections to a store in a file that is about to be removed, and forgets the queries prepared for
    it. MLflow keeps both until the process ends: of a thousand stores a thousand open files, which are not gone from
    the disk either, and a GiB."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if engine := SqlAlchemyStore._engine_map.pop(address.raw, None):
        engine.dispose()
        engine.clear_compiled_cache()


def reach(experiment: str, change: bool = True) -> Store:
    """The store that the environment names, for a command; see :func:`open_store`.

    Raises:
        UserError: it cannot be reached or used.
    """
    address = store_address()
    load_mlflow()
    with store_lock(address):
        return open_store(address, experiment, change)


def _place(address: StoreAddress) -> str | None:
    """Where a new experiment keeps its artifacts. MLflow's own choice is a folder below the working directory, which
    dies with a queued experiment's copy; a folder of one clone is no place for the others of a database."""
    if address.file:
        return artifacts_beside(address.file).as_uri()
    if not address.is_database:
        return None
    if place := os.environ.get(ARTIFACT_ROOT):
        # a relative path means one at the root, as in a store's address
        return (root() / local_path(place)).as_uri() if urlsplit(place).scheme in ("", "file") else place
    raise UserError(
        f"{ARTIFACT_ROOT}: found nothing, and {address} is a database, which keeps no files; allowed: a place that "
        "everybody who logs there reaches, as s3://BUCKET/FOLDER or file:///SHARED/FOLDER; "
        f"or set {URI} to an MLflow server"
    )


def _check_place(address: StoreAddress, location: str) -> None:
    """Refuses a database's experiment whose artifacts lie in a folder of another machine, or of a clone that has gone:
    MLflow would make an empty one of the same name."""
    if urlsplit(location).scheme in ("", "file") and not local_path(location).is_dir():
        raise UserError(
            f"tracking.experiment: {address} keeps its artifacts in {local_path(location)}, which is no folder here; "
            f"mount it, or take another name and set {ARTIFACT_ROOT} to a place that everybody reaches"
        )


def other_server(address: StoreAddress) -> UserError:
    """The refusal of a server that answers 200 with other JSON, in which MLflow's client finds nothing wrong."""
    return UserError(f"{URI}: {address} answers, but not as MLflow does; name the address of an MLflow server")
