"""The MLflow runs behind a commit, the commits that hold what a run left, and the copying of runs between stores."""

from pathlib import Path

from genbalance.experiments.dvc_lock import every_lock, hashes, is_off, lock_of, names_of
from genbalance.experiments.runs import find_commits
from genbalance.params import read_params
from genbalance.reporting.text import aligned
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import git
from genbalance.tracking.address import home_address, parse_address, sqlite_address, store_address
from genbalance.tracking.cached_stages import log_missing
from genbalance.tracking.lineage import outs_of, runs_behind
from genbalance.tracking.store import load_mlflow, reach
from genbalance.tracking.sync import copy_all

NONE = "none in this MLflow store; `genbalance sync` logs one for the results in the working directory"


def runs(revision: str) -> str:
    """A line for each run whose outs are those of a commit, stage by stage.

    Raises:
        UserError: the revision stands for no commit or several, it has no dvc.lock, or the store cannot be used.
    """
    commits = find_commits(revision)
    if len(commits) > 1:
        raise UserError(f"{revision}: stands for {len(commits)} commits; allowed: one")
    lock = lock_of(next(iter(commits)), revision)
    store = reach(read_params().tracking.experiment, change=False)
    rows: list[tuple[str, ...]] = [("stage", "run", "pipeline run", "started (UTC)", "status", "")]
    for stage, entry in lock.items():
        if is_off(entry):
            continue
        found = runs_behind(store, entry)
        for run in found:
            remarks = ["restored from the cache"] * run.restored + ["other inputs, same bytes"] * (not run.same_inputs)
            started = f"{run.started:%Y-%m-%d %H:%M:%S}"
            rows.append((stage, run.run_id, run.pipeline, started, run.status, ", ".join(remarks)))
        if not found:
            rows.append((f"{stage}: {NONE}",))
    return aligned(rows, texts=True)


def commits(run_id: str) -> str:
    """A line for each commit that holds every out of a run, the newest first.

    Raises:
        UserError: there is no such run, it left nothing, or the store cannot be used.
    """
    outs = outs_of(reach(read_params().tracking.experiment, change=False), run_id)
    holding: list[str] = []
    for holders, stages in every_lock():
        held: dict[str, str] = {}
        for entry in stages.values():
            held |= hashes(entry.get("outs", ()))
        if outs.items() <= held.items():
            holding += holders
    if not holding:
        return f"{run_id}: no commit and no experiment holds its {len(outs)} outs; were they committed?"
    named = names_of(holding)
    logged = git("log", "--no-walk=sorted", "--format=%H%x09%cs%x09%s", "--stdin", lines=holding).splitlines()
    rows = [("commit", "date", "names", "subject")]
    for commit, date, subject in (line.split("\t", 2) for line in logged):
        rows.append((commit[:12], date, ", ".join(named[commit]), subject))
    return aligned(rows, texts=True)


def sync(source: Path | None, target: str | None) -> str:
    """Logs what is missing in the project's store and copies what another store does not have; returns what it did.

    Args:
        source: an ``mlflow.db`` to copy from, instead of the project's.
        target: the address to copy to; None: the remote store of the environment, or with ``source`` the project's.

    Raises:
        UserError: there is no dvc.lock or no such file, or a store cannot be used.
    """
    lines = []
    if source is None:
        logged = log_missing(read_params())
        lines.append(f"logged as restored: {', '.join(logged)}" if logged else "every stage has its MLflow run")
    elif not source.is_file():
        raise UserError(f"--from: {source} is no file; allowed: the mlflow.db of another checkout or machine")
    there = parse_address(target) if target else store_address()
    here = sqlite_address(source.resolve()) if source else home_address()
    if source or target or there.is_remote:
        if here == there:
            raise UserError(f"--to: found {there}, which is what is copied from; allowed: another store")
        load_mlflow()
        lines.append(f"{copy_all(here, there, mark=source is None)} runs copied from {here} to {there}")
    return "\n".join(lines)
