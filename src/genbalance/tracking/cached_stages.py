"""A run for each stage that DVC restored from its cache instead of running, out of dvc.lock and metrics/."""

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbalance.experiments.dvc_lock import Stages, hashes, is_off, lock_here, lock_of
from genbalance.params import PARAMS_FILE, Params, flatten
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import numbers, read_json
from genbalance.tracking.address import StoreAddress, home_address
from genbalance.tracking.contact import store_errors
from genbalance.tracking.lineage import KEY, OUT, RESTORED, key_of, runs_behind
from genbalance.tracking.pipeline_run import close_abandoned, parent_of, settle
from genbalance.tracking.provenance import PARENT, STAGE, code_tags, code_version, shown
from genbalance.tracking.store import BATCH, Store, connect, load_mlflow, metric_name, open_store, store_lock

FROM = "genbalance.restored.from"  # the run that made what was restored, where it is known


def log_missing(params: Params) -> list[str]:
    """Logs the runs that are missing in the store of the project's folder behind the working directory's dvc.lock, and
    ends those that a dead process left RUNNING.

    Returns:
        The names of their stages.

    Raises:
        UserError: there is no dvc.lock, or the store cannot be reached or used.
    """
    stages, home = lock_here(), home_address()
    load_mlflow()
    with store_lock(home):
        store = open_store(home, params.tracking.experiment)
        close_abandoned(store, "")
        missing = [name for name, entry in stages.items() if not is_off(entry) and not runs_behind(store, entry)]
        if missing:
            code = code_version()
            parent = parent_of(store, _stage(missing[0]), code, params, code_tags(code))
            for name in missing:
                _log(store, parent, name, stages[name])
            settle(store, parent)
    return missing


def log_restored(store: Store, parent_id: str, stage: str) -> None:
    """The same from within the pipeline's last stage, below its own parent; in an experiment also for a stage that is
    not as in its baseline and yet did not run in it.

    Args:
        store: with its lock held.
        parent_id: the pipeline's run.
        stage: the one that is running, whose entry in dvc.lock is still that of its last run.
    """
    try:
        stages = lock_here()
    except UserError:  # a stage that was started by hand, before there was a pipeline
        return
    baseline: Stages = {}
    if os.environ.get("DVC_EXP_NAME"):
        try:
            baseline = lock_of("HEAD", "HEAD")
        except UserError:
            baseline = {}
    ran = {run.data.tags[STAGE] for run in store.search(f"tags.`{PARENT}` = '{parent_id}'")}
    for name, entry in stages.items():
        if _stage(name) in {stage, *ran} or is_off(entry):
            continue
        made = runs_behind(store, entry)
        if not made or (baseline and hashes(baseline.get(name, {}).get("outs", ())) != hashes(entry["outs"])):
            _log(store, parent_id, name, entry, made[0].run_id if made else "")


def compare_restored(source: StoreAddress, home: StoreAddress, baseline: Stages) -> None:
    """Makes the runs of restored stages in a clone's store those that the home store would have got, had its experiment
    run there: a stage that is as in its baseline has none if the home store knows it, any other names the run there
    that made it. Call it with MLflow loaded.

    Args:
        source: of the clone, in a file; it is changed.
        home: where its runs are copied next.
        baseline: the dvc.lock of the experiment's commit.

    Raises:
        UserError: a store cannot be used.
    """
    with store_lock(source), store_errors(source):
        client = connect(source, change=False)
        found = [Store(source, client, each.experiment_id) for each in client.search_experiments()]
        names = [each.name for each in client.search_experiments()]
    for name, store in zip(names, found, strict=True):
        restored = store.search(f"tags.`{RESTORED}` = 'true'")
        if not restored:
            continue
        with store_lock(home):
            there = open_store(home, name)
        for run in restored:
            outs = {tag: md5 for tag, md5 in run.data.tags.items() if tag.startswith(OUT)}
            tag, md5 = next(iter(outs.items()))
            made = [
                other for other in there.search(f"tags.`{tag}` = '{md5}'") if outs.items() <= other.data.tags.items()
            ]
            before = hashes(baseline.get(run.data.tags["dvc.stage"], {}).get("outs", ()))
            with store.contact() as client:
                if made and outs == {OUT + path: md5 for path, md5 in before.items()}:
                    client.delete_run(run.info.run_id)
                elif made:
                    client.set_tag(run.info.run_id, FROM, made[0].info.run_id)


def _stage(name: str) -> str:
    return name.replace("@", "_")


def _log(store: Store, parent: str, name: str, entry: Mapping[str, Any], made_by: str = "") -> None:
    from mlflow.entities import Metric, Param

    outs = hashes(entry["outs"])
    tags = {PARENT: parent, STAGE: _stage(name), KEY: key_of(entry), RESTORED: "true", "dvc.stage": name}
    tags |= {OUT + path: md5 for path, md5 in outs.items()} | ({FROM: made_by} if made_by else {})
    recorded = flatten(entry.get("params", {}).get(str(PARAMS_FILE), {}))
    params = [Param(key, value) for key, value in shown(recorded).items()]
    now = time.time_ns() // 1_000_000
    metrics = [Metric(metric_name(key), float(value), now, 0) for key, value in _metrics(_stage(name), outs).items()]
    with store.contact() as client:
        run_id = client.create_run(store.experiment_id, run_name=_stage(name), tags=tags).info.run_id
        client.log_batch(run_id, params=params)
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        client.set_terminated(run_id, "FINISHED")


def _metrics(stage: str, outs: Mapping[str, str]) -> dict[str, float]:
    """The published numbers of a stage, if the file is the one that dvc.lock means."""
    file = Path("metrics") / f"{stage}.json"
    whole = file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() == outs.get(file.as_posix())
    return numbers(read_json(file)) if whole else {}
