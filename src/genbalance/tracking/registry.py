"""Models in MLflow's registry: a version for each file of weights, and the alias of the best one."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.errors import UserError
from genbalance.tracking.address import store_address
from genbalance.tracking.contact import store_errors
from genbalance.tracking.models import keep_model, save_program
from genbalance.tracking.store import Store, connect, load_mlflow, other_server, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
WEIGHTS = "genbalance.weights.md5"
METRIC = "genbalance.metric."
BENCH = "genbalance.measured.on."
EXAMPLE = {"digit": 7, "seed": 1, "count": 2}


@dataclass(frozen=True)
class Candidate:
    """A trained model that may become a version.

    Attributes:
        name: of the registered model.
        weights: its file.
        md5: of that.
        judge: the file of the classifier that reads what it draws.
        config: what :class:`genbalance.tracking.served.ServedDigits` is to know beside the files.
        metric: the name of the headline metric, of which less is better.
        value: that metric.
        bench: what it was measured on; metrics are compared where all of it is equal.
        run_id: of the training, "" where none is known.
        tags: further ones of the version.
        card: its description, Markdown.
    """

    name: str
    weights: Path
    md5: str
    judge: Path
    config: Mapping[str, Any]
    metric: str
    value: float
    bench: Mapping[str, str]
    run_id: str
    tags: Mapping[str, str]
    card: str

    @property
    def all_tags(self) -> dict[str, str]:
        """Of the version."""
        told = {WEIGHTS: self.md5, METRIC + self.metric: repr(self.value)}
        return dict(self.tags) | told | {BENCH + key: value for key, value in self.bench.items()}


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
                candidate.name, description="Generates digits on request. Each version's description is its model card."
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
    told = champion.get(METRIC + metric)
    if told is None:
        return False, f"its {metric} is not recorded"
    theirs = {key.removeprefix(BENCH): value for key, value in champion.items() if key.startswith(BENCH)}
    other = sorted(key for key in theirs | dict(candidate.bench) if theirs.get(key) != candidate.bench.get(key))
    if other:
        named = " and ".join("classifier" if key == "judge" else key for key in other)
        return False, f"its {metric} {told} was measured with a different {named}: not comparable"
    if candidate.value < float(told):
        return True, f"{metric} {candidate.value} beats {told}"
    return False, f"{metric} {candidate.value} does not beat {told}"


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

    # MLflow turns whole numbers away that stand in a column with a null
    whole_or_null = AnyType()  # type: ignore[no-untyped-call]
    wish = [ColSpec(whole_or_null, name, required=False) for name in ("digit", "seed", "count")]
    image = {"row": DataType.long, "read": DataType.long, "confidence": DataType.double, "png": DataType.string}
    save_program(
        path,
        "served.py",
        model_id,
        candidate.run_id,
        {"weights": candidate.weights, "judge": candidate.judge},
        candidate.config,
        ModelSignature(Schema([*wish]), Schema([ColSpec(kind, name) for name, kind in image.items()])),
        pd.DataFrame([EXAMPLE]),
    )
