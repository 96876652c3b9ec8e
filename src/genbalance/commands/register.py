"""The trained models as versions in MLflow's registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbalance.commands.card import card
from genbalance.data import prepared
from genbalance.errors import UserError
from genbalance.files import read_json
from genbalance.locks import Stages, hashes, lock_here
from genbalance.params import PARAMS_FILE, flatten, read_params
from genbalance.tracking.code import code_version
from genbalance.tracking.ledger import runs_behind
from genbalance.tracking.lineage import lineage
from genbalance.tracking.provenance import code_tags
from genbalance.tracking.registry import Candidate, register
from genbalance.tracking.store import Store, reach

DIGITS, JUDGE = "data/prepared", "models/classifier.safetensors"


@dataclass(frozen=True)
class Kind:
    """What decides between two models of a kind: ``metric``, the lower the better, which depends on the files of
    ``bench``, on n and on the ``params`` of the training."""

    metric: str
    bench: Mapping[str, str]
    params: Mapping[str, str]


KINDS = {
    "gan": Kind("fd_test", {"digits": DIGITS, "judge": JUDGE}, {}),
    # depends on no classifier; a Gaussian likelihood is a density, not comparable with a Bernoulli one
    "vae": Kind("nelbo", {"digits": DIGITS}, {"likelihood": "vae.likelihood"}),
}


def register_models(kinds: Sequence[str]) -> str:
    """Registers models of the working directory, gan or vae, as its dvc.lock tells of them.

    Returns:
        A line for each.

    Raises:
        UserError: there is no pipeline run here, the files are not those that were measured, or the store cannot be
            used.
    """
    experiment = read_params().tracking.experiment
    lock = lock_here()
    measured = {kind: _measured(lock, kind) for kind in kinds}
    store = reach(experiment)
    return "\n".join(register(store, _candidate(store, lock, kind, *measured[kind])) for kind in kinds)


def _measured(lock: Stages, kind: str) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """The hashes of what the evaluation was given, and its metrics, if all of that lies here unchanged."""
    entry, metrics = _entry(lock, f"evaluate@{kind}"), f"metrics/evaluate_{kind}.json"
    ends = lineage(f"evaluate_{kind}")
    given, left = hashes(entry.get("deps", ())), hashes(entry["outs"])
    for path in (f"models/{kind}.safetensors", JUDGE, DIGITS):
        if path not in given or ends.deps().get(path) != given[path]:
            raise UserError(f"{path}: is not what {metrics} was measured with; run `dvc repro evaluate@{kind}`")
    if ends.outs().get(metrics) != left.get(metrics):
        raise UserError(f"{metrics}: is not what dvc.lock records; run `dvc repro evaluate@{kind}`")
    return given, read_json(Path(metrics))


def _candidate(
    store: Store, lock: Stages, kind: str, given: Mapping[str, str], metrics: Mapping[str, Any]
) -> Candidate:
    name, weights, training = f"genbalance-{kind}", f"models/{kind}.safetensors", _entry(lock, f"train_{kind}")
    digits, code, rule = prepared.load(Path(DIGITS)), code_version(), KINDS[kind]
    params = flatten(training.get("params", {}).get(str(PARAMS_FILE), {}))
    bench = {name: given[path] for name, path in rule.bench.items()}
    runs = sorted(runs_behind(store, training), key=lambda run: run.restored)  # the one that trained, if it is known
    return Candidate(
        name=name,
        weights=Path(weights),
        md5=given[weights],
        judge=Path(JUDGE),
        config={"model": kind, "mean": digits.mean, "std": digits.std},
        metric=rule.metric,
        value=float(metrics[rule.metric]),
        bench={"n": str(metrics["n"])} | bench | {name: str(params.get(key)) for name, key in rule.params.items()},
        run_id=runs[0].run_id if runs else "",
        tags=code_tags(code),
        card=card(kind, name, digits, params, metrics, code.short, given[weights]),
    )


def _entry(lock: Stages, stage: str) -> Mapping[str, Any]:
    if stage not in lock:
        raise UserError(f"dvc.lock: has no stage {stage}; run `dvc repro`")
    return lock[stage]
