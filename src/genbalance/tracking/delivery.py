"""Bringing what waits in the spool to its server: in order, and once, however often it is tried.

Everything is sent in a way that sending it again changes nothing: a run that was made for a waiting one carries its id,
a metric's steps that the server has are left out, files go under the same names. A waiting run is removed when all of
it has arrived.
"""

import shutil
import sys
from typing import TYPE_CHECKING

from genbalance.tracking.address import StoreAddress, local_path
from genbalance.tracking.pipeline import KEY, settle
from genbalance.tracking.processes import TAG, is_dead
from genbalance.tracking.resume import find_run, known_steps
from genbalance.tracking.spool import ORIGIN, TARGET, spool_address, spool_folder
from genbalance.tracking.store import BATCH, Store, connect, open_store, store_lock
from genbalance.tracking.tags import PARENT, STAGE

if TYPE_CHECKING:
    from mlflow.entities import Run

OWN = (TARGET, PARENT, TAG)  # tags that say something of the waiting run itself
DEFAULT = "Default"  # MLflow's own experiment, in which we keep nothing


def deliver(server: StoreAddress, last: bool) -> None:
    """Sends what waits for a server. Call it with the server's lock held, when it has just answered.

    Args:
        server: its address.
        last: whether this process has nothing more to put into the spool, so that an empty one may be removed: MLflow
            keeps a database that it has opened once, and would go on writing to a removed one.

    Raises:
        UserError: the server is away again, or refused; what is left waits for the next time.
    """
    if not server.is_remote or not spool_folder(server).exists():
        return
    waiting = spool_address(server)
    with store_lock(waiting):
        names = [found.name for found in connect(waiting, change=True).search_experiments() if found.name != DEFAULT]
        counts = [_deliver(open_store(waiting, name), open_store(server, name)) for name in names]
        if last and not any(left for _, left in counts):
            shutil.rmtree(spool_folder(server))
    if sent := sum(sent for sent, _ in counts):
        print(f"{sent} stored runs delivered to {server}", file=sys.stderr, flush=True)


def _deliver(spool: Store, store: Store) -> tuple[int, int]:
    """How many runs arrived, and how many are left because their process goes on."""
    runs = spool.search("")[::-1]
    sent = left = 0
    for parent in (run for run in runs if PARENT not in run.data.tags):
        children = [run for run in runs if run.data.tags.get(PARENT) == parent.info.run_id]
        target = _parent_at(store, parent, {child.data.tags[STAGE] for child in children})
        busy = [c for c in children if c.info.status == "RUNNING" and not is_dead(c.data.tags.get(TAG, ""))]
        for child in (child for child in children if child not in busy):
            _copy(spool, child, store, _child_at(store, child, target))
            spool.client.delete_run(child.info.run_id)
            sent += 1
        _copy(spool, parent, store, target)
        settle(store, target)
        if not busy:
            spool.client.delete_run(parent.info.run_id)
        left += len(busy)
    return sent, left


def _parent_at(store: Store, parent: "Run", stages: set[str]) -> str:
    """The server's run for a waiting parent: the one that it continues, or one of the same pipeline run, in which none
    of the stages has finished yet, or a new one."""
    if found := find_run(store, parent.data.tags.get(TARGET, "")) or find_run(store, parent.info.run_id):
        return str(found.info.run_id)
    for newest in store.search(f"tags.`{KEY}` = '{parent.data.tags.get(KEY, '')}'")[:1]:
        ended = store.search(f"tags.`{PARENT}` = '{newest.info.run_id}' AND status = 'FINISHED'")
        if not stages & {child.data.tags[STAGE] for child in ended}:
            return str(newest.info.run_id)
    return _create(store, parent, {})


def _child_at(store: Store, child: "Run", parent_id: str) -> str:
    """The server's run for a waiting child."""
    found = find_run(store, child.data.tags.get(TARGET, "")) or find_run(store, child.info.run_id)
    return str(found.info.run_id) if found else _create(store, child, {PARENT: parent_id})


def _create(store: Store, run: "Run", tags: dict[str, str]) -> str:
    kept = {name: value for name, value in run.data.tags.items() if name not in OWN}
    with store.contact() as client:
        created: str = client.create_run(
            store.experiment_id, run.info.start_time, kept | tags | {ORIGIN: run.info.run_id}, run.info.run_name
        ).info.run_id
    return created


def _copy(spool: Store, run: "Run", store: Store, target: str) -> None:
    """Adds what a waiting run has to the server's."""
    from mlflow.entities import Param, RunTag

    with store.contact() as client:
        there = client.get_run(target).data
        params = [Param(name, value) for name, value in run.data.params.items() if name not in there.params]
        named = {"mlflow.runName"} if TARGET in run.data.tags else set()  # the shadow's name, not the run's
        tags = [RunTag(n, v) for n, v in run.data.tags.items() if n not in {*OWN, *named} and there.tags.get(n) != v]
        known = known_steps(client, target, set(run.data.metrics) & set(there.metrics))
        points = [
            point
            for name in run.data.metrics
            for point in spool.client.get_metric_history(run.info.run_id, name)
            if point.step not in known.get(name, ())
        ]
        points.sort(key=lambda point: (point.timestamp, point.step))
        for start in range(0, max(1, len(points)), BATCH):
            client.log_batch(target, metrics=points[start : start + BATCH], params=params, tags=tags)
            params, tags = [], []
        if run.inputs and run.inputs.dataset_inputs:
            client.log_inputs(target, run.inputs.dataset_inputs)
        files = local_path(run.info.artifact_uri)
        if files.exists():
            client.log_artifacts(target, str(files))
        if PARENT in run.data.tags:
            status = "KILLED" if run.info.status == "RUNNING" else run.info.status
            client.set_terminated(target, status, run.info.end_time)
