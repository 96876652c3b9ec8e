"""Where runs wait while their tracking server is away: an MLflow store on this disk, one for each server."""

import hashlib
import sys
from pathlib import Path

from tqdm import tqdm

from genbalance.repository import root
from genbalance.tracking.address import StoreAddress, sqlite_address
from genbalance.tracking.processes import TAG, this_process
from genbalance.tracking.store import Store, open_store
from genbalance.tracking.tags import PARENT, STAGE

TARGET = "genbalance.spool.target"  # the server's run that a waiting one continues
ORIGIN = "genbalance.spool.origin"  # the waiting run that a server's was made for


def spool_folder(server: StoreAddress) -> Path:
    """The place of what waits for a server, whatever its password is meanwhile."""
    return root() / ".spool" / hashlib.sha256(str(server).encode()).hexdigest()[:8]


def spool_address(server: StoreAddress) -> StoreAddress:
    """The address of the store that waits for a server."""
    return sqlite_address(spool_folder(server) / "mlflow.db")


def open_spool(server: StoreAddress, experiment: str, stage: str, cause: str) -> Store:
    """The spool of a server, made when there is none. Whoever is at the screen is told. Call it with its lock
    held.

    Args:
        server: that is away.
        experiment: the name of MLflow's.
        stage: whose run is to wait.
        cause: why the server does not take it.

    Raises:
        UserError: there is no place for it.
    """
    store = open_store(spool_address(server), experiment)
    place = spool_folder(server).relative_to(root())
    tqdm.write(  # above a training's bar
        f"{stage}: the tracking store {server}: {cause}; the run waits in {place} and is delivered at the next contact",
        file=sys.stderr,
    )
    return store


def shadows(spool: Store, stage: str, run_id: str, parent_id: str) -> tuple[str, str]:
    """Two runs in the spool that continue the server's run and its parent there: their ids."""
    with spool.contact() as client:
        parent = client.create_run(spool.experiment_id, run_name="continued", tags={TARGET: parent_id}).info.run_id
        tags = {TARGET: run_id, PARENT: parent, STAGE: stage, TAG: this_process()}
        return client.create_run(spool.experiment_id, run_name=stage, tags=tags).info.run_id, parent
