"""One parent run for a pipeline run, one child for each stage that ran."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from genbalance.errors import UserError
from genbalance.params import Params
from genbalance.tracking.code import CodeVersion, code_version
from genbalance.tracking.contact import impatient
from genbalance.tracking.lineage import KEY as KEY_OF_INPUTS
from genbalance.tracking.lineage import OUT, Lineage, lineage
from genbalance.tracking.provenance import code_tags, environment_tags
from genbalance.tracking.run import MlflowRun
from genbalance.tracking.store import Store, load_mlflow, open_store, store_lock

if TYPE_CHECKING:
    from mlflow.entities import Run as Entity

KEY = "genbalance.pipeline"
STAGE = "genbalance.stage"
PARENT = "mlflow.parentRunId"


@contextmanager
def tracked(stage: str, params: Params) -> Iterator[MlflowRun]:
    """The run of a stage, from start to end; how the block ends is how the run ends.

    FINISHED when it ends well, KILLED on Ctrl-C and SystemExit, FAILED on any other exception.

    Raises:
        UserError: the store cannot be reached or used.
    """
    begun = time.monotonic()
    ends = lineage(stage)
    store, run = _start(stage, params, ends)
    try:
        _log_params(store, run, params)
        yield run
        run.log({"duration_s": time.monotonic() - begun})
        run.flush()
        _tell_outs(store, run, ends)
    except BaseException as error:
        with suppress(UserError), impatient():  # what went wrong first is what is told
            run.flush()
        with suppress(UserError), impatient():
            _end(store, run, "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        raise
    _end(store, run, "FINISHED")


def _start(stage: str, params: Params, ends: Lineage) -> tuple[Store, MlflowRun]:
    code = code_version()
    tags = code_tags(code)
    load_mlflow()
    with store_lock():
        store = open_store(params.tracking.experiment)
        with store.contact() as client:
            parent = _parent(store, stage, code, tags)
            tags |= environment_tags(params) | {PARENT: parent, STAGE: stage, KEY_OF_INPUTS: ends.key}
            child = client.create_run(store.experiment_id, run_name=stage, tags=tags).info.run_id
    return store, MlflowRun(store, child, parent, ends.key)


def _parent(store: Store, stage: str, code: CodeVersion, tags: dict[str, str]) -> str:
    """The run of the pipeline run that this stage belongs to.

    The newest one of the same experiment and content; but a stage that has already finished there runs for the second
    time, so that is another pipeline run.
    """
    name = os.environ.get("DVC_EXP_NAME", "")
    what = (name or code.commit, os.environ.get("DVC_EXP_BASELINE_REV", ""), code.content)
    key = hashlib.sha256("\n".join(what).encode()).hexdigest()
    for newest in _search(store, f"tags.`{KEY}` = '{key}'")[:1]:
        run_id: str = newest.info.run_id
        if not _search(store, f"tags.`{PARENT}` = '{run_id}' AND tags.`{STAGE}` = '{stage}' AND status = 'FINISHED'"):
            store.client.update_run(run_id, status="RUNNING")
            return run_id
    created: str = store.client.create_run(
        store.experiment_id, run_name=name or code.short, tags=tags | {KEY: key}
    ).info.run_id
    return created


def _end(store: Store, run: MlflowRun, status: str) -> None:
    with store_lock(), store.contact() as client:
        client.set_terminated(run.run_id, status)
        latest: dict[str, str] = {}  # of each stage, its newest run counts: a failed one that was repeated is mended
        for child in _search(store, f"tags.`{PARENT}` = '{run.parent_id}'"):
            latest.setdefault(child.data.tags[STAGE], child.info.status)
        whole = next((bad for bad in ("FAILED", "KILLED", "RUNNING") if bad in latest.values()), "FINISHED")
        if whole != "RUNNING":
            client.set_terminated(run.parent_id, whole)


def _tell_outs(store: Store, run: MlflowRun, ends: Lineage) -> None:
    from mlflow.entities import RunTag

    with store.contact() as client:
        client.log_batch(run.run_id, tags=[RunTag(OUT + path, md5) for path, md5 in ends.outs().items()])


def _search(store: Store, condition: str) -> "list[Entity]":
    """The experiment's runs that meet a condition, the newest first."""
    return list(store.client.search_runs([store.experiment_id], condition, order_by=["attributes.start_time DESC"]))


def _log_params(store: Store, run: MlflowRun, params: Params) -> None:
    from mlflow.entities import Param

    with store.contact() as client:
        for run_id in (run.parent_id, run.run_id):
            client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.flat().items()])
