"""Finding the run that a resumed training goes on with, and what it holds already."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from genbalance.tracking.spool import ORIGIN, TARGET
from genbalance.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def find_run(store: Store, run_id: str) -> "Run | None":
    """The run of that id, the one that was made for it when it waited in the spool, or, in the spool, the one that
    continues it; None where there is none any more."""
    if not run_id:
        return None
    for where in ("attributes.run_id", f"tags.`{ORIGIN}`", f"tags.`{TARGET}`"):
        if found := store.search(f"{where} = '{run_id}'"):
            return found[0]
    return None


def known_steps(client: "MlflowClient", run_id: str, metrics: Iterable[str]) -> dict[str, set[int]]:
    """The steps that a run has of each metric."""
    return {name: {point.step for point in client.get_metric_history(run_id, name)} for name in metrics}
