"""Networks as MLflow's logged models: a program of ours beside the package and the weights, so that no pickle is among
them."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import genbalance
from genbalance.runtime.errors import UserError, machine_errors

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

COMPARISON = "mlflow.utils.environment.warn_dependency_requirement_mismatches"
# what the package needs to serve; pinned as installed, since MLflow's own guess takes it many seconds
NEEDED = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "ruamel.yaml", "safetensors", "threadpoolctl", "torch")


def keep_model(
    client: "MlflowClient",
    experiment_id: str,
    name: str,
    run_id: str,
    save: Callable[[Path, str], None],
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> "LoggedModel":
    """Makes a logged model. Through the client alone: MLflow's functions of the same purpose act on a store that the
    process has set.

    Args:
        client: of the store.
        experiment_id: where it belongs.
        name: of the model.
        run_id: of its training, "" where none is known.
        save: writes the model into a folder that is not there yet; it is given its id too.
        tags: of the model.
        params: those that the UI shows beside it.

    Raises:
        UserError: the model cannot be written; the text says why.
    """
    from mlflow.entities import LoggedModelStatus

    logged = client.create_logged_model(experiment_id, name, run_id or None, dict(tags or {}), dict(params or {}))
    status = LoggedModelStatus.FAILED
    try:
        with tempfile.TemporaryDirectory() as folder:
            with _write_errors(name):
                save(Path(folder) / "model", logged.model_id)
            client.log_model_artifacts(logged.model_id, f"{folder}/model")
        status = LoggedModelStatus.READY
    finally:
        client.finalize_logged_model(logged.model_id, status)
    return logged


@contextmanager
def _write_errors(name: str) -> Iterator[None]:
    """Reports what goes wrong on this machine, before the store is given anything."""
    from mlflow.exceptions import MlflowException

    try:
        with machine_errors():
            yield
    except (MlflowException, UserError) as error:
        raise UserError(f"{name}: the model cannot be written: {' '.join(str(error).split())}") from error


def save_program(
    path: Path,
    program: str,
    model_id: str,
    run_id: str,
    files: Mapping[str, Path],
    config: Mapping[str, Any],
    signature: "ModelSignature",
    example: "pd.DataFrame | None" = None,
) -> None:
    """Writes a model whose code is a file of this package.

    Args:
        path: the folder to make.
        program: the name of that file.
        model_id: of the logged model.
        run_id: of its training, "" where none is known.
        files: what the program reads, by the name that it knows.
        config: what it is to know beside.
        signature: what it is given and what it answers.
        example: of what it is given.
    """
    package = Path(genbalance.__file__).parent
    # MLflow wants type hints that it could take the signature from, and would compare, a second long, the requirements
    # with the packages that they are taken from
    with (
        warnings.catch_warnings(record=True, action="always"),
        patch(COMPARISON),
        tempfile.TemporaryDirectory() as copies,
    ):
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

        for file in files.values():  # DVC keeps links to a shared cache, which MLflow refuses
            shutil.copyfile(file, Path(copies) / file.name)
        save_model(
            path=str(path),
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=run_id or None),
            python_model=str(package / "tracking" / program),
            artifacts={name: f"{copies}/{file.name}" for name, file in files.items()},
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in NEEDED],
            signature=signature,
            input_example=example,
            model_config=dict(config),
        )


def keep_trained(
    client: "MlflowClient", experiment_id: str, run_id: str, kind: str, weights: Path, profile: Mapping[str, Any]
) -> None:
    """Keeps a network as a logged model of the run that trained it; :mod:`genbalance.tracking.trained` runs it.

    Args:
        client: of the store.
        experiment_id: of the run.
        run_id: of the training.
        kind: the name of a family, or classifier.
        weights: its file.
        profile: what it was trained on: ``channels``, ``height``, ``width``, ``classes``, and ``mean`` and ``std`` of
            the pixels. Of fewer than two classes a classifier has learned rotations.
    """
    from mlflow.entities import LoggedModelOutput

    config = {"kind": kind} | {key: profile[key] for key in ("mean", "std")}
    signature = _signature(kind, profile)

    def save(folder: Path, model_id: str) -> None:
        save_program(folder, "trained.py", model_id, run_id, {"weights": weights}, config, signature)

    params = client.get_run(run_id).data.params
    logged = keep_model(client, experiment_id, kind, run_id, save, params=params)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])


def image_schema(profile: Mapping[str, Any]) -> str:
    """The schema of a data set of images uint8 [n, height, width] or [n, height, width, 3] and their labels, as MLflow
    keeps it; ``profile`` has ``channels``, ``height`` and ``width``."""
    import numpy as np
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype("uint8"), _shape(profile), "images")
    labels = TensorSpec(np.dtype("int64"), (-1,), "labels")
    schemas = {"features": Schema([images]).to_json(), "targets": Schema([labels]).to_json()}
    return json.dumps({"mlflow_tensorspec": schemas})


def _shape(profile: Mapping[str, Any]) -> tuple[int, ...]:
    return (-1, profile["height"], profile["width"], *((3,) if profile["channels"] == 3 else ()))


def _signature(kind: str, profile: Mapping[str, Any]) -> "ModelSignature":
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    images = Schema([TensorSpec(np.dtype("uint8"), _shape(profile))])
    if kind == "classifier":
        outputs = profile["classes"] if profile["classes"] > 1 else -1  # rotations: as many as the shape allows
        return ModelSignature(images, Schema([TensorSpec(np.dtype("float32"), (-1, outputs))]))
    return ModelSignature(Schema([ColSpec(DataType.long, "seed"), ColSpec(DataType.long, "count")]), images)
