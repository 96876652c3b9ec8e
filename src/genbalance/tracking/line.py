"""The way from a stage to its run: to the server, and into the spool from the moment on when that is away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genbalance.tracking.address import store_address
from genbalance.tracking.contact import OutageError
from genbalance.tracking.models import keep_trained
from genbalance.tracking.restored import log_restored
from genbalance.tracking.spool import open_spool, shadows, spool_address
from genbalance.tracking.store import Store, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")


@dataclass
class Line:
    """A stage's run and its parent, wherever they are now.

    Attributes:
        store: where they are.
        stage: its name.
        experiment: the name of the MLflow experiment.
        run_id: of the stage's run.
        parent_id: of the pipeline's.
    """

    store: Store
    stage: str
    experiment: str
    run_id: str
    parent_id: str

    def send(self, action: "Callable[[MlflowClient, str, str], T]") -> T:
        """Does something to the run and its parent, which it is given with the store's client.

        If the server is away, it is done to two that continue them in the spool, as is all that follows. What the
        server has taken of it before it went is there twice then; the delivery sees to that.

        Raises:
            UserError: the store refused.
        """
        try:
            return self._do(action)
        except OutageError as outage:
            with store_lock(spool_address(self.store.address)):
                spool = open_spool(self.store.address, self.experiment, self.stage, outage.cause)
                self.run_id, self.parent_id = shadows(spool, self.stage, self.run_id, self.parent_id)
            self.store = spool
            return self._do(action)

    def restored(self) -> None:
        """Logs what DVC restored, if the server is there."""
        if self.store.address == store_address():
            with store_lock(self.store.address):
                log_restored(self.store, self.parent_id, self.stage)

    def model(self, kind: str, weights: Path, profile: Mapping[str, Any]) -> None:
        """Keeps a trained network, if the server is there; see :func:`genbalance.tracking.models.keep_trained`."""
        if self.store.address == store_address():
            with self.store.contact() as client:
                keep_trained(client, self.store.experiment_id, self.run_id, kind, weights, profile)

    def _do(self, action: "Callable[[MlflowClient, str, str], T]") -> T:
        with self.store.contact() as client:
            return action(client, self.run_id, self.parent_id)
