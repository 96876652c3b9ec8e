"""Where runs wait while their tracking server is away: an MLflow store on this disk, one for each server."""

import hashlib
import sys
from pathlib import Path

from tqdm import tqdm

from genbalance.repository import root
from genbalance.tracking.contact import SERVERS, without_password
from genbalance.tracking.processes import TAG, this_process
from genbalance.tracking.store import SQLITE, Store, open_store
from genbalance.tracking.tags import PARENT, STAGE

TARGET = "genbalance.spool.target"  # the server's run that a waiting one continues
ORIGIN = "genbalance.spool.origin"  # the waiting run that a server's was made for


def spool_folder(server: str) -> Path:
    """The place of what waits for a server."""
    return root() / ".spool" / hashlib.sha256(server.encode()).hexdigest()[:8]


def spool_uri(server: str) -> str:
    """The address of the store that waits for a server."""
    return f"{SQLITE}{spool_folder(server) / 'mlflow.db'}"


def has_spool(uri: str) -> bool:
    """Whether a store can be away, with others waiting in its place."""
    return uri.startswith(SERVERS)


def open_spool(server: str, experiment: str, stage: str) -> Store:
    """The spool of a server, made when there is none. Whoever is at the screen is told. Call it with its lock
    held.

    Raises:
        UserError: there is no place for it.
    """
    store = open_store(spool_uri(server), experiment, artifacts=spool_folder(server) / "artifacts")
    place = spool_folder(server).relative_to(root())
    tqdm.write(  # above a training's bar
        f"{stage}: the tracking server {without_password(server)} does not answer; the run is stored in {place} and "
        "delivered when it answers again",
        file=sys.stderr,
    )
    return store


def shadows(spool: Store, stage: str, run_id: str, parent_id: str) -> tuple[str, str]:
    """Two runs in the spool that continue the server's run and its parent there: their ids."""
    with spool.contact() as client:
        parent = client.create_run(spool.experiment_id, run_name="continued", tags={TARGET: parent_id}).info.run_id
        tags = {TARGET: run_id, PARENT: parent, STAGE: stage, TAG: this_process()}
        return client.create_run(spool.experiment_id, run_name=stage, tags=tags).info.run_id, parent
