"""One parent run for a pipeline run, one child for each stage that ran, in the store of the project's folder."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from genbalance.errors import UserError
from genbalance.params import PARAMS_FILE, Params
from genbalance.tracking.address import home_address, store_address
from genbalance.tracking.code import code_version
from genbalance.tracking.lineage import KEY, OUT, Lineage, lineage
from genbalance.tracking.pipeline import COMING, close_abandoned, parent_of, settle
from genbalance.tracking.processes import TAG, dvc_command, dvc_has_ended, dvc_process, this_process
from genbalance.tracking.provenance import code_tags, environment_tags
from genbalance.tracking.run import MlflowRun
from genbalance.tracking.settings import shown
from genbalance.tracking.store import Store, load_mlflow, open_store, store_lock
from genbalance.tracking.sync import copying
from genbalance.tracking.system import sampling
from genbalance.tracking.tags import PARENT, STAGE


def _none(_key: str) -> str:
    return ""


def _nothing() -> None:
    pass


@contextmanager
def tracked(stage: str, params: Params, resumable: Callable[[str], str] = _none) -> Iterator[MlflowRun]:
    """The run of a stage, from start to end; how the block ends is how the run ends.

    FINISHED when it ends well, KILLED on Ctrl-C, SystemExit and the end of its DVC, FAILED on any other exception. It
    is logged to the store in the project's folder; where ``MLFLOW_TRACKING_URI`` names a remote one, it is copied there
    meanwhile (:mod:`genbalance.tracking.sync`), and a server that is away stops nothing.

    Args:
        stage: its name.
        params: of this run.
        resumable: for the key of what goes into the stage, the id of the run that a process logged to which died and
            whose work is about to be resumed, or "".

    Raises:
        UserError: the store cannot be used; the remote one refuses, or its address is none.
    """
    begun = time.monotonic()
    ends = lineage(stage)
    load_mlflow()
    experiment, remote = params.tracking.experiment, store_address()
    run, is_new = _start(stage, params, ends, resumable(ends.key))
    there = copying(run.store, remote, experiment, stage, run.run_id) if remote.is_remote else nullcontext(_nothing)
    with there as begin_copying:
        try:
            _log_inputs(run, params, ends, is_new)
            begin_copying()  # whether the remote store takes runs at all is said before anything is computed
            with sampling(run.sample):
                yield run
            run.log({"duration_s": time.monotonic() - begun})
            run.flush()
            run.tag({OUT + path: md5 for path, md5 in ends.outs().items()})
            if dvc_process():
                with run.store.contact() as client:
                    client.set_tag(run.parent_id, COMING, " ".join(ends.coming(dvc_command())))
        except BaseException as error:
            with suppress(UserError):  # what went wrong first is what is told
                run.flush()
            with suppress(UserError):
                _end(run, _ending(error))
            raise
        _end(run, "FINISHED")


def _start(stage: str, params: Params, ends: Lineage, resumed: str) -> tuple[MlflowRun, bool]:
    """The stage's run below its parent, and whether it is a new one or one that is resumed."""
    code = code_version()  # git's work, and none of the lock's
    home = home_address()
    with store_lock(home):
        store = open_store(home, params.tracking.experiment)
        close_abandoned(store, resumed)
        tags = code_tags(code)
        parent = parent_of(store, stage, code, params, tags)
        tags |= environment_tags(params) | {PARENT: parent, STAGE: stage, KEY: ends.key, TAG: this_process()}
        found = store.search(f"attributes.run_id = '{resumed}'") if resumed else []
        known: dict[str, set[int]] = {}
        with store.contact() as client:
            if found:
                child = found[0].info.run_id
                known = {
                    n: {point.step for point in client.get_metric_history(child, n)} for n in found[0].data.metrics
                }
                for name in (PARENT, TAG):  # first: a run that is RUNNING has a process
                    client.set_tag(child, name, tags[name])
                client.update_run(child, status="RUNNING")
            else:
                child = client.create_run(store.experiment_id, run_name=stage, tags=tags).info.run_id
    return MlflowRun(store, stage, child, parent, ends.key, known), not found


def _log_inputs(run: MlflowRun, params: Params, ends: Lineage, is_new: bool) -> None:
    """Logs all params to the parent, and to a new run those that its stage reads, and their file."""
    _log_params(run.store, run.parent_id, params.flat())
    if is_new:
        _log_params(run.store, run.run_id, shown(params.flat(), ends.params()))
        if PARAMS_FILE.exists():
            run.artifact(PARAMS_FILE)


def _ending(error: BaseException) -> str:
    """How a run ends that something stopped."""
    killed = isinstance(error, KeyboardInterrupt | SystemExit) or dvc_has_ended()
    return "KILLED" if killed else "FAILED"


def _end(run: MlflowRun, status: str) -> None:
    with run.store.contact() as client:
        client.set_terminated(run.run_id, status)
    with store_lock(run.store.address):
        settle(run.store, run.parent_id)


def _log_params(store: Store, run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    with store.contact() as client:
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in values.items()])
