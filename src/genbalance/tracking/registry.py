"""Models in MLflow's registry: a version for each file of weights, and the alias of the best one.

A version is made of the working directory's models, as its dvc.lock records them. The family's record says which metric
decides between two versions, and when they can be compared.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data import prepared
from genbalance.experiments.dvc_lock import Stages, hashes, is_off, lock_here
from genbalance.families.registry import Family, family
from genbalance.params import PARAMS_FILE, flatten, read_params
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import read_json
from genbalance.tracking.address import store_address
from genbalance.tracking.contact import store_errors
from genbalance.tracking.lineage import lineage, runs_behind
from genbalance.tracking.model_card import card
from genbalance.tracking.models import keep_model, save_program
from genbalance.tracking.provenance import code_tags, code_version
from genbalance.tracking.store import Store, connect, load_mlflow, other_server, reach, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
WEIGHTS = "genbalance.weights.md5"
METRIC = "genbalance.metric."
SUITE = "genbalance.measured.on."
PRIVACY = "genbalance.privacy."  # of a private training: epsilon, delta
PREPARED, CLASSIFIER = "data/prepared", "models/classifier.safetensors"
CLASSIFIER_KEY = "judge"  # the classifier's name in versions that are registered already, and to served.py
EXAMPLE = {"digit": 7, "seed": 1, "count": 2}


def register_models(names: Sequence[str]) -> str:
    """Registers models of the working directory, as its dvc.lock records them.

    Args:
        names: of their families; none: of those that params.yaml trains.

    Returns:
        A line for each.

    Raises:
        UserError: there is no pipeline run here, the files are not those that were measured, or the store cannot be
            used.
    """
    params = read_params()
    families = [family(name) for name in names or params.families.names]
    lock = lock_here()
    measured = [_measured(lock, each.name) for each in families]
    store = reach(params.tracking.experiment)
    candidates = (_candidate(store, lock, each, *of) for each, of in zip(families, measured, strict=True))
    return "\n".join(register(store, candidate) for candidate in candidates)


@dataclass(frozen=True)
class Candidate:
    """A trained model that may become a version.

    Attributes:
        name: of the registered model.
        weights: its file.
        md5: of that.
        classifier: the file of the reference classifier, which reads the images that it draws.
        config: for :class:`genbalance.tracking.served.ServedDigits`, beside the files.
        metric: the name of the headline metric, of which less is better.
        value: that metric.
        suite: what it was measured on; metrics are compared where all of it is equal.
        run_id: of the training, "" where none is known.
        tags: further ones of the version.
        card: its description, Markdown.
        classes: that can be asked for; 0: none.
    """

    name: str
    weights: Path
    md5: str
    classifier: Path
    config: Mapping[str, Any]
    metric: str
    value: float
    suite: Mapping[str, str]
    run_id: str
    tags: Mapping[str, str]
    card: str
    classes: int

    @property
    def all_tags(self) -> dict[str, str]:
        """Of the version."""
        own = {WEIGHTS: self.md5, METRIC + self.metric: repr(self.value)}
        return dict(self.tags) | own | {SUITE + key: value for key, value in self.suite.items()}


def register(store: Store, candidate: Candidate) -> str:
    """Makes a version of the candidate, unless one has these weights, and gives it the alias if it is the best.

    Returns:
        What was done, a line.

    Raises:
        UserError: the store cannot be used.
    """
    with store_lock(store.address), store.contact() as client:
        if not client.search_registered_models(f"name = '{candidate.name}'"):
            client.create_registered_model(
                candidate.name, description="Generates images on request. Each version's description is its model card."
            )
        versions = client.search_model_versions(f"name = '{candidate.name}'")
        same = [found for found in versions if found.tags.get(WEIGHTS) == candidate.md5 and _has_files(store, found)]
        entry = same[0] if same else _create(client, store.experiment_id, candidate)
        news = "has these weights already" if same else "is new"
        champion = _champion(client, candidate.name)
        if champion and champion.version == entry.version:
            return f"{candidate.name}: version {entry.version} {news} and is the {ALIAS}"
        better, why = True, "the files of the one before are gone"
        if champion is None or _has_files(store, champion):
            better, why = verdict(candidate, champion.tags if champion else None)
        if better:
            client.set_registered_model_alias(candidate.name, ALIAS, entry.version)
    stays = f"it becomes the {ALIAS}" if better else f"version {champion.version if champion else ''} stays the {ALIAS}"
    return f"{candidate.name}: version {entry.version} {news}; {stays}: {why}"


def download(name: str, folder: Path) -> Path:
    """The weights of a version, as a file in ``folder``.

    Args:
        name: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
        folder: an empty one.

    Raises:
        UserError: it is no such name, nothing is registered so, or the store cannot be used.
    """
    form = re.fullmatch(r"models:/(?P<model>[\w.-]+)(?:@(?P<alias>[\w.-]+)|/(?P<version>\d+))", name)
    if not form:
        raise UserError(f"{name}: names no version; allowed: models:/NAME@{ALIAS} or models:/NAME/VERSION")
    address, advice = store_address(), "run `genbalance register`"
    if address.file and not address.file.exists():
        raise UserError(f"{name}: there is no store at {address}; {advice}")
    load_mlflow()
    from mlflow.artifacts import download_artifacts
    from mlflow.entities import ViewType

    with store_lock(address), store_errors(address):
        client = connect(address, change=False)
        if not client.search_experiments(ViewType.ALL, max_results=1):  # MLflow's has one from the beginning
            raise other_server(address)
        models = {model.name: model for model in client.search_registered_models()}
        model = models.get(form["model"])
        if model is None:
            raise UserError(f"{name}: is not registered; allowed: {', '.join(models) or 'nothing yet'}; {advice}")
        number = str(form["version"] or model.aliases.get(form["alias"]))
        versions = {str(found.version): found for found in client.search_model_versions(f"name = '{model.name}'")}
        if number not in versions:
            there = [*(f"@{alias}" for alias in model.aliases), *sorted(versions, key=int)]
            raise UserError(f"{name}: is not registered; allowed of {model.name}: {', '.join(there)}")
        version = versions[number]
        copy = Path(download_artifacts(f"{version.source}/artifacts", dst_path=str(folder), tracking_uri=address.raw))
    for file in copy.glob("*.safetensors"):
        if hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == version.tags.get(WEIGHTS):
            return file
    raise UserError(f"{name}: holds no weights with the md5 that it is registered with; {advice}")


def verdict(candidate: Candidate, champion: Mapping[str, str] | None) -> tuple[bool, str]:
    """Whether the candidate is to take the place of the champion with these tags, and why."""
    if champion is None:
        return True, "there was none"
    metric = candidate.metric
    theirs = champion.get(METRIC + metric)
    if theirs is None:
        return False, f"its {metric} is not recorded"
    suite = {key.removeprefix(SUITE): value for key, value in champion.items() if key.startswith(SUITE)}
    other = sorted(key for key in suite | dict(candidate.suite) if suite.get(key) != candidate.suite.get(key))
    if other:
        named = " and ".join("classifier" if key == CLASSIFIER_KEY else key for key in other)
        return False, f"its {metric} {theirs} was measured with a different {named}: not comparable"
    if candidate.value < float(theirs):
        return True, f"{metric} {candidate.value} beats {theirs}"
    return False, f"{metric} {candidate.value} does not beat {theirs}"


def _champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    model = client.get_registered_model(name)
    return client.get_model_version_by_alias(name, ALIAS) if ALIAS in model.aliases else None


def _has_files(store: Store, version: "ModelVersion") -> bool:
    """Whether a version's model is where the registry says, and was not removed beside it."""
    from mlflow.artifacts import list_artifacts

    return bool(list_artifacts(artifact_uri=version.source, tracking_uri=store.address.raw))


def _create(client: "MlflowClient", experiment_id: str, candidate: Candidate) -> "ModelVersion":
    logged = keep_model(
        client,
        experiment_id,
        candidate.name,
        candidate.run_id,
        lambda folder, model_id: _save(candidate, folder, model_id),
        tags=candidate.all_tags,
    )
    return client.create_model_version(
        candidate.name,
        logged.artifact_location,
        candidate.run_id or None,
        candidate.all_tags,
        description=candidate.card,
        model_id=logged.model_id,
    )


def _save(candidate: Candidate, path: Path, model_id: str) -> None:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    # MLflow refuses whole numbers in a column with a null
    whole_or_null = AnyType()  # type: ignore[no-untyped-call]
    request = [ColSpec(whole_or_null, name, required=False) for name in ("digit", "seed", "count")]
    read = DataType.string if candidate.config.get("class_names") else DataType.long
    image = {"row": DataType.long, "read": read, "confidence": DataType.double, "png": DataType.string}
    example = EXAMPLE
    if not candidate.classes:
        del image["read"], image["confidence"]
        example = {key: value for key, value in EXAMPLE.items() if key != "digit"}
    elif candidate.classes <= EXAMPLE["digit"]:
        example = EXAMPLE | {"digit": candidate.classes - 1}
    save_program(
        path,
        "served.py",
        model_id,
        candidate.run_id,
        {"weights": candidate.weights, CLASSIFIER_KEY: candidate.classifier},
        candidate.config,
        ModelSignature(Schema([*request]), Schema([ColSpec(kind, name) for name, kind in image.items()])),
        pd.DataFrame([example]),
    )


def _measured(lock: Stages, name: str) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """The hashes of the evaluation's deps, and its metrics, if all of these files are here unchanged."""
    entry, metrics = _entry(lock, f"evaluate@{name}"), f"metrics/evaluate_{name}.json"
    if is_off(entry):
        raise UserError(f"families.{name}: found false; set it to true in params.yaml and run `dvc repro`")
    ends = lineage(f"evaluate_{name}")
    deps, outs = hashes(entry.get("deps", ())), hashes(entry["outs"])
    for path in (f"models/{name}.safetensors", CLASSIFIER, PREPARED):
        if path not in deps or ends.deps().get(path) != deps[path]:
            raise UserError(f"{path}: is not what {metrics} was measured with; run `dvc repro evaluate@{name}`")
    if ends.outs().get(metrics) != outs.get(metrics):
        raise UserError(f"{metrics}: is not what dvc.lock records; run `dvc repro evaluate@{name}`")
    return deps, read_json(Path(metrics))


def _candidate(
    store: Store, lock: Stages, of: Family, deps: Mapping[str, str], metrics: Mapping[str, Any]
) -> Candidate:
    name, weights, training = f"genbalance-{of.name}", f"models/{of.name}.safetensors", _entry(lock, f"train_{of.name}")
    dataset, code = prepared.load(Path(PREPARED)), code_version()
    params = flatten(training.get("params", {}).get(str(PARAMS_FILE), {}))
    suite = {"n": str(metrics["n"]), "digits": deps[PREPARED]}
    if of.uses_classifier:
        suite[CLASSIFIER_KEY] = deps[CLASSIFIER]
    trained = read_json(Path(f"metrics/train_{of.name}.json"))
    suite |= {key: str(trained.get(key)) for key in of.comparable}
    runs = sorted(runs_behind(store, training), key=lambda run: run.restored)  # the one that trained, if it is known
    return Candidate(
        name=name,
        weights=Path(weights),
        md5=deps[weights],
        classifier=Path(CLASSIFIER),
        config={"model": of.name, "mean": dataset.mean, "std": dataset.std}
        | ({"class_names": list(dataset.class_names)} if dataset.class_names and dataset.has_classes else {}),
        metric=of.best,
        value=float(metrics[of.best]),
        suite=suite,
        run_id=runs[0].run_id if runs else "",
        tags=code_tags(code)
        | {f"{PRIVACY}{key}": repr(trained[key]) for key in ("epsilon", "delta") if key in trained},
        card=card(of, name, dataset, params, metrics, code.short, deps[weights], trained),
        classes=dataset.classes if dataset.has_classes else 0,
    )


def _entry(lock: Stages, stage: str) -> Mapping[str, Any]:
    if stage not in lock:
        raise UserError(f"dvc.lock: has no stage {stage}; run `dvc repro`")
    return lock[stage]
