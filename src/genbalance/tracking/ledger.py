"""From a commit to the runs that made its outs, and from a run to what it left."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genbalance.errors import UserError
from genbalance.locks import hashes
from genbalance.tracking.lineage import KEY, OUT, key_of
from genbalance.tracking.store import Store
from genbalance.tracking.tags import PARENT

if TYPE_CHECKING:
    from mlflow.entities import Run

RESTORED = "genbalance.restored"


@dataclass(frozen=True)
class Logged:
    """A run of a stage, as people ask for it.

    Attributes:
        run_id: MLflow's.
        pipeline: the name of its parent.
        status: FINISHED and so on.
        started: when, UTC.
        same_inputs: whether it was given what the commit's dvc.lock says; if not, something else led to the same bytes.
        restored: whether it stands for a stage that DVC restored from its cache.
    """

    run_id: str
    pipeline: str
    status: str
    started: datetime
    same_inputs: bool
    restored: bool


def runs_behind(store: Store, entry: Mapping[str, Any]) -> list[Logged]:
    """The runs whose outs have the hashes of a stage's entry in dvc.lock, the newest first."""
    return [_logged(store, run, key_of(entry)) for run in _made(store, hashes(entry["outs"]))]


def outs_of(store: Store, run_id: str) -> dict[str, str]:
    """The hash of each out of a run, by path; of a pipeline's run, those of all its stages.

    Raises:
        UserError: there is no such run, or it left none.
    """
    found = store.search(f"attributes.run_id = '{run_id}'") if run_id.isalnum() else []
    if not found:
        raise UserError(f"{run_id!r}: is no run of the experiment in {store.address}; `genbalance runs` lists ids")
    runs = [*found, *store.search(f"tags.`{PARENT}` = '{run_id}'")]
    outs: dict[str, str] = {}
    for run in runs[::-1]:  # the newest of a stage counts
        outs |= {tag.removeprefix(OUT): md5 for tag, md5 in run.data.tags.items() if tag.startswith(OUT)}
    if not outs:
        raise UserError(f"{run_id}: left no outs; it is {found[0].info.status}")
    return outs


def _made(store: Store, outs: Mapping[str, str]) -> "list[Run]":
    path, md5 = next(iter(outs.items()))
    tags = {OUT + path: md5 for path, md5 in outs.items()}
    runs = store.search(f"tags.`{OUT}{path}` = '{md5}'")
    return [run for run in runs if tags.items() <= run.data.tags.items()]


def _logged(store: Store, run: "Run", key: str) -> Logged:
    tags = run.data.tags
    parent = store.search(f"attributes.run_id = '{tags.get(PARENT, '')}'")
    return Logged(
        run_id=run.info.run_id,
        pipeline=parent[0].info.run_name if parent else "",
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        same_inputs=tags.get(KEY) == key,
        restored=tags.get(RESTORED) == "true",
    )
