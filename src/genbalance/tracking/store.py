"""Where runs are kept, and how to get at it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from genbalance.errors import UserError
from genbalance.repository import root
from genbalance.tracking.contact import QUICK, SERVERS, URI, told
from genbalance.tracking.view import TAG, is_current, view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SQLITE = "sqlite:///"
BATCH = 1000  # metrics that MLflow takes in one call
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is raised, and told by us in a line
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
EXPERIMENT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "What does λ do in a GAN trained on L = L_D + λ·L_G, and what does β do in a VAE trained on "
    "L = L_recon + β·L_KL?\n\n"
    "- A row is a run of the whole pipeline, with `lambda` and `beta` as its parameters. Unfold it to see its stages; "
    "the *Model metrics* of `train_gan` and `train_vae` begin with sample grids by epoch.\n"
    "- `gan_fd_test` and `vae_fd_test` are Fréchet distances of samples to test images: smaller is better. `vae_rate` "
    "is the KL, `vae_distortion` the reconstruction loss, in nats per image.\n"
    "- The chart view (the second of the three buttons above the table) shows these over λ and β, and the samples of "
    "all runs side by side. `dvc exp run -S beta=4` adds a run.",
}


@dataclass(frozen=True)
class Store:
    """An open MLflow store and the experiment in it that ours is."""

    uri: str
    client: "MlflowClient"
    experiment_id: str

    @contextmanager
    def contact(self) -> "Iterator[MlflowClient]":
        """The client, with whatever goes wrong in the store told in one line.

        Raises:
            UserError: the store was not to be reached, or refused.
        """
        with told(self.uri):
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
    """Imports MLflow, which takes seconds: do it before a lock is taken, so that nobody waits for it."""
    for name, value in (QUIET | QUICK).items():
        os.environ.setdefault(name, value)
    import_module("mlflow")


def store_uri() -> str:
    """``MLFLOW_TRACKING_URI`` if set, else a SQLite file at the root; paths absolute, at the root."""
    uri = os.environ.get(URI) or f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):  # a relative path would mean another place in each copy that DVC runs
        uri = f"{SQLITE}{root() / uri.removeprefix(SQLITE)}"
    return uri


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Held by whoever opens a store, or looks for a pipeline's run in it.

    It lies beside a SQLite file, whose tables two processes would otherwise create at once (one of them crashes);
    for any other store it is this repository's own.

    Raises:
        UserError: the lock cannot be written, or was not to be had for two minutes.
    """
    from filelock import FileLock

    path = Path(f"{uri.removeprefix(SQLITE)}.lock") if uri.startswith(SQLITE) else root() / ".dvc/tmp/tracking.lock"
    lock = FileLock(path)
    with told(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=120)
    try:
        yield
    finally:
        lock.release()


def open_store(uri: str, experiment: str, artifacts: Path | None = None) -> Store:
    """The store, made when there is none, and the experiment in it. Call it with MLflow loaded and the lock held.

    Args:
        uri: the store's.
        experiment: its name, created when there is none of that name.
        artifacts: where a new experiment keeps them; the root's mlartifacts where it is not given. A server's
            artifacts are the server's business.

    Raises:
        UserError: the store cannot be reached or used, told within seconds.
    """
    from mlflow import MlflowClient

    with told(uri):
        client = MlflowClient(tracking_uri=uri)
        if found := client.get_experiment_by_name(experiment):
            if found.lifecycle_stage == "deleted":
                raise UserError(
                    f"tracking.experiment: {experiment!r} was deleted in {uri}; take another name, or "
                    f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
                )
            if not is_current(found.tags):
                client.set_experiment_tag(found.experiment_id, TAG, view())
            return Store(uri, client, found.experiment_id)
        # MLflow's own choice is a folder below the working directory, which dies with a queued experiment's copy
        place = None if uri.startswith(SERVERS) else (artifacts or root() / "mlartifacts").as_uri()
        tags = EXPERIMENT | {TAG: view()}
        return Store(uri, client, client.create_experiment(experiment, artifact_location=place, tags=tags))


def reach(experiment: str) -> Store:
    """The store that the environment names, for a command; see :func:`open_store`.

    Raises:
        UserError: it cannot be reached or used.
    """
    load_mlflow()
    with store_lock(store_uri()):
        return open_store(store_uri(), experiment)
