"""One parent run for a pipeline run, one child for each stage that ran."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from genbalance.errors import UserError
from genbalance.params import PARAMS_FILE, Params
from genbalance.tracking.address import StoreAddress, store_address
from genbalance.tracking.code import CodeVersion, code_version
from genbalance.tracking.contact import OutageError
from genbalance.tracking.delivery import deliver
from genbalance.tracking.line import Line
from genbalance.tracking.lineage import KEY, OUT, Lineage, lineage
from genbalance.tracking.pipeline import COMING, close_abandoned, parent_of, settle
from genbalance.tracking.processes import TAG, dvc_command, dvc_process, is_dead, this_process
from genbalance.tracking.provenance import code_tags, environment_tags
from genbalance.tracking.resume import find_run, known_steps
from genbalance.tracking.run import MlflowRun
from genbalance.tracking.settings import shown
from genbalance.tracking.spool import TARGET, open_spool, spool_address
from genbalance.tracking.store import Store, load_mlflow, open_store, store_lock
from genbalance.tracking.system import sampling
from genbalance.tracking.tags import PARENT, STAGE


def _none(_key: str) -> str:
    return ""


@contextmanager
def tracked(stage: str, params: Params, resumable: Callable[[str], str] = _none) -> Iterator[MlflowRun]:
    """The run of a stage, from start to end; how the block ends is how the run ends.

    FINISHED when it ends well, KILLED on Ctrl-C, SystemExit and the end of its DVC, FAILED on any other exception. A
    tracking server that goes away meanwhile stops nothing: what is logged waits in a spool for the next contact.

    Args:
        stage: its name.
        params: of this run.
        resumable: for the key of what goes into the stage, the id of the run that a process logged to which died and
            whose work is about to be resumed, or "".

    Raises:
        UserError: the store cannot be reached or used.
    """
    begun = time.monotonic()
    ends = lineage(stage)
    load_mlflow()
    line, run = _start(stage, params, ends, resumable(ends.key))
    try:
        with sampling(run.sample):
            yield run
        run.log({"duration_s": time.monotonic() - begun})
        run.flush()
        run.tag({OUT + path: md5 for path, md5 in ends.outs().items()})
        if dvc_process():
            coming = " ".join(ends.coming(dvc_command()))
            line.send(lambda client, _, parent_id: client.set_tag(parent_id, COMING, coming))
    except BaseException as error:
        with suppress(UserError):  # what went wrong first is what is told
            run.flush()
        with suppress(UserError):
            _end(line, _ending(error))
        raise
    _end(line, "FINISHED")


def _start(stage: str, params: Params, ends: Lineage, resumed: str) -> tuple[Line, MlflowRun]:
    address, experiment = store_address(), params.tracking.experiment
    code = code_version()  # git's work, and none of the lock's
    try:
        with store_lock(address):
            store = open_store(address, experiment)
            _deliver(address, last=False)
            close_abandoned(store, resumed)
            return _open(store, stage, params, code, ends, resumed)
    except OutageError as outage:
        if params.tracking.on_outage == "refuse":
            raise
        cause = outage.cause
    with store_lock(spool_address(address)):
        return _open(open_spool(address, experiment, stage, cause), stage, params, code, ends, resumed)


def _open(
    store: Store, stage: str, params: Params, code: CodeVersion, ends: Lineage, resumed: str
) -> tuple[Line, MlflowRun]:
    """The stage's run below its parent: a new one, or the one that is resumed."""
    tags = code_tags(code)
    parent = parent_of(store, stage, code, params, tags)
    found = find_run(store, resumed)
    tags |= environment_tags(params) | {PARENT: parent, STAGE: stage, KEY: ends.key, TAG: this_process()}
    if resumed and not found and store.address != store_address():  # its run is on the server
        tags[TARGET] = resumed
    with store.contact() as client:
        if found:
            child, known = found.info.run_id, known_steps(client, found.info.run_id, found.data.metrics)
            client.update_run(child, status="RUNNING")
            for name in (PARENT, TAG):
                client.set_tag(child, name, tags[name])
        else:
            child, known = client.create_run(store.experiment_id, run_name=stage, tags=tags).info.run_id, {}
    try:
        _log_params(store, parent, params.flat())
        if not found:
            _log_params(store, child, shown(params.flat(), ends.params()))
            if PARAMS_FILE.exists():
                with store.contact() as client:
                    client.log_artifact(child, str(PARAMS_FILE))
    except OutageError:
        raise
    except BaseException as error:  # such as artifacts in a place whose driver is missing
        with suppress(UserError), store.contact() as client:
            client.set_terminated(child, _ending(error))
            settle(store, parent)
        raise
    line = Line(store, stage, params.tracking.experiment, child, parent)
    return line, MlflowRun(line, ends.key, known)


def _ending(error: BaseException) -> str:
    """How a run ends that something stopped."""
    killed = isinstance(error, KeyboardInterrupt | SystemExit) or is_dead(dvc_process())
    return "KILLED" if killed else "FAILED"


def _end(line: Line, status: str) -> None:
    line.send(lambda client, run_id, _: client.set_terminated(run_id, status))
    server = store_address()
    with suppress(OutageError), store_lock(server):  # away still: the next stage's contact delivers
        if line.store.address == server:
            settle(line.store, line.parent_id)
        _deliver(server, last=True)


def _deliver(server: StoreAddress, last: bool) -> None:
    try:
        deliver(server, last)
    except OutageError:
        raise
    except UserError as error:  # of no concern to the stage
        print(f"the server refused the runs stored in .spool/: {error}", file=sys.stderr, flush=True)


def _log_params(store: Store, run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    with store.contact() as client:
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in values.items()])
