"""The run of a pipeline run: the parent that its stages' runs share, and how it ends."""

import hashlib
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbalance.experiments.runs import differing
from genbalance.params import INERT, PARAMS_FILE, Params, flatten, parse_yaml
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import git
from genbalance.tracking.energy import CO2, SOURCE, WH, sources_of, spent
from genbalance.tracking.processes import PROCESS, dvc_process, is_dead
from genbalance.tracking.provenance import ORIGIN, PARENT, STAGE, CodeVersion
from genbalance.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY = "genbalance.pipeline"
DVC = "genbalance.dvc"  # the process of DVC whose stages a parent has
REMAINING = "genbalance.coming"  # the stages that DVC was still to run when the last one ended
PARAMS_IN_NAME = 4  # at most
NOTE = "mlflow.note.content"


def parent_of(store: Store, stage: str, code: CodeVersion, params: Params, tags: Mapping[str, str]) -> str:
    """The run of the pipeline run that a stage belongs to, made where there is none.

    The newest one of the same experiment and content; but a stage that has already finished there runs for the second
    time, which makes another pipeline run.

    Args:
        store: with its lock held.
        stage: its name.
        code: which code runs.
        params: of this run.
        tags: of a new one.

    Raises:
        UserError: the store refused.
    """
    name = os.environ.get("DVC_EXP_NAME", "")
    what = (name or code.commit, os.environ.get("DVC_EXP_BASELINE_REV", ""), code.content)
    key = hashlib.sha256("\n".join(what).encode()).hexdigest()
    own = [run for run in store.search(f"tags.`{KEY}` = '{key}'") if ORIGIN not in run.data.tags]
    for newest in own[:1]:
        run_id: str = newest.info.run_id
        if not store.search(f"tags.`{PARENT}` = '{run_id}' AND tags.`{STAGE}` = '{stage}' AND status = 'FINISHED'"):
            with store.contact() as client:
                client.update_run(run_id, status="RUNNING")
                if dvc_process():
                    client.set_tag(run_id, DVC, dvc_process())
            return run_id
    varies = _varies(params)
    own_tags = {"genbalance.varies": " ".join(varies), "genbalance.sweep": _sweep(name), KEY: key}
    own_tags |= {DVC: dvc_process()} | _note(varies, code)
    with store.contact() as client:
        created: str = client.create_run(
            store.experiment_id,
            run_name=" ".join([name or code.short, *varies[:PARAMS_IN_NAME], *["…"] * (len(varies) > PARAMS_IN_NAME)]),
            tags={**tags, **{tag: value for tag, value in own_tags.items() if value}},
        ).info.run_id
    return created


def settle(store: Store, parent_id: str) -> None:
    """Ends a parent of which no stage runs any more, as its stages have ended: of each the newest run counts, so that
    one that failed and was repeated counts no more. While DVC has stages to run, the parent runs; where DVC has ended
    before it ran them, the parent is KILLED. What the stages have cost, those that failed too, is summed there. Call it
    with the store's lock held."""
    latest: dict[str, str] = {}
    children = store.search(f"tags.`{PARENT}` = '{parent_id}'")
    for child in children:
        latest.setdefault(child.data.tags[STAGE], child.info.status)
    whole = next((bad for bad in ("FAILED", "KILLED", "RUNNING") if bad in latest.values()), "FINISHED")
    with store.contact() as client:
        parent = client.get_run(parent_id)
        tags = parent.data.tags
        _sum_up(client, parent, children)
        if whole == "FINISHED" and set(tags.get(REMAINING, "").split()) - latest.keys():
            whole = "KILLED" if is_dead(tags.get(DVC, "")) else "RUNNING"
        if whole != "RUNNING":
            client.set_terminated(parent_id, whole)


def _sum_up(client: "MlflowClient", parent: "Run", children: "Sequence[Run]") -> None:
    """Logs to the parent what its stages have cost, where that has changed."""
    from mlflow.entities import Metric, RunTag

    costs = [spent(child.data.metrics) for child in children]
    sums = {name: math.fsum(cost.get(name, 0.0) for cost in costs) for name in (WH, CO2)}
    if any(costs) and not sums.items() <= parent.data.metrics.items():
        now = time.time_ns() // 1_000_000
        sources = set[str]().union(*(sources_of(child.data.tags) for child in children))
        metrics = [Metric(name, value, now, 0) for name, value in sums.items()]
        client.log_batch(parent.info.run_id, metrics, tags=[RunTag(SOURCE, "+".join(sorted(sources)))])


def close_abandoned(store: Store, but: str) -> None:
    """Ends as KILLED what is left RUNNING by a process of this host that has died, and the parents of such.
    Call it with the lock held.

    Args:
        store: of the runs.
        but: a run that is about to be resumed.
    """
    running = store.search("attributes.status = 'RUNNING'")
    for run in running:
        if run.info.run_id != but and is_dead(run.data.tags.get(PROCESS, "")):
            with store.contact() as client:
                client.set_terminated(run.info.run_id, "KILLED")
    for run in running:
        if PARENT not in run.data.tags:
            settle(store, run.info.run_id)


def _varies(params: Params) -> list[str]:
    """What differs from the params of HEAD, as ``dvc exp run -S`` spells it."""
    try:
        committed = parse_yaml(git("show", f"HEAD:./{PARAMS_FILE}"), "HEAD")
    except UserError:
        committed = None
    if not isinstance(committed, dict):
        return []
    changed = differing(flatten(committed), params.flat())
    return [
        f"{key}={_short(value)}"
        for key, (_, value) in changed.items()
        if key.startswith("families.") or not key.startswith(INERT)
    ]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _sweep(experiment: str) -> str:
    """What the members of `dvc exp run --queue -n NAME` share: they are NAME-1, NAME-2 and so on."""
    match = re.fullmatch(r"(.+)-\d+", experiment)
    return match[1] if match else ""


def _note(varies: list[str], code: CodeVersion) -> dict[str, str]:
    """How to reproduce the run, where the UI shows a description."""
    if not code.commit or (code.dirty and code.changed != (str(PARAMS_FILE),)):
        return {}
    again = f"dvc exp run {' '.join(f'-S {setting}' for setting in varies)}" if varies else "make repro"
    return {NOTE: f"Reproduce:\n\n```sh\ngit checkout {code.commit[:8]}\n{again}\n```"}
