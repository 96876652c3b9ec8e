"""The networks that trainings keep in MLflow, and the schemas of what they were trained on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from stores import PROFILE

from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import Params
from genbalance.tracking import tracked
from genbalance.tracking.models import _signature, image_schema

SIDE, CLASSES = 12, 3
SMALL = PROFILE | {"height": SIDE, "width": SIDE, "classes": CLASSES}
NETWORKS = {
    "gan": (Gan, {"arch": "mlp", "shape": [1, SIDE, SIDE], "latents": 4, "width": 4}),
    "vae": (
        Vae,
        {
            "arch": "mlp",
            "likelihood": "bernoulli",
            "shape": [1, SIDE, SIDE],
            "latents": 4,
            "width": 16,
            "log_sigma_floor": -6.0,
        },
    ),
    "classifier": (Classifier, {"shape": [1, SIDE, SIDE], "classes": CLASSES, "width": 4}),
}
pytestmark = [  # MLflow's own, of its own code
    pytest.mark.filterwarnings("ignore:.*Add type hints to the `predict` method:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
]


@pytest.fixture(params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def kept(kind: str, repo: Path, params: Params, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """The run of a training, and the model that it kept."""
    torch.manual_seed(1)
    network, config = NETWORKS[kind]
    weights.save(tmp_path / "net.safetensors", config, network(**config).state_dict())
    with tracked(f"train_{kind}", params) as run:
        run.model(kind, tmp_path / "net.safetensors", SMALL)
    assert capfd.readouterr() == ("", "")
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    ended = client.get_run(run.run_id)
    (output,) = ended.outputs.model_outputs
    return ended, client.get_logged_model(output.model_id)


def test_a_training_keeps_its_network_as_a_model_with_a_signature_and_no_pickle(kept, kind: str) -> None:
    from mlflow.models import Model

    run, logged = kept
    assert (logged.name, logged.status, logged.source_run_id) == (kind, "READY", run.info.run_id)
    assert logged.params == run.data.params
    folder = Path(logged.artifact_location.removeprefix("file://"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not {path.suffix for path in files} & {".pkl", ".pickle", ".pt", ".pth"}
    signature = Model.load(str(folder)).signature
    images = [("uint8", (-1, SIDE, SIDE))]
    probabilities = [("float32", (-1, CLASSES))]

    def tensors(schema):
        return [(spec.type.name, spec.shape) for spec in schema.inputs]

    if kind == "classifier":
        assert (tensors(signature.inputs), tensors(signature.outputs)) == (images, probabilities)
    else:
        assert [(spec.name, spec.type.name) for spec in signature.inputs.inputs] == [
            ("seed", "long"),
            ("count", "long"),
        ]
        assert tensors(signature.outputs) == images


def test_a_kept_network_answers_as_its_signature_says(kept, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.pyfunc import load_model

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setattr("sys.path", [*__import__("sys").path])  # MLflow puts the model's own code in front
    model = load_model(kept[1].artifact_location)
    if kind == "classifier":
        probabilities = model.predict(np.zeros((5, SIDE, SIDE), np.uint8))
        assert (probabilities.shape, probabilities.dtype) == ((5, CLASSES), np.float32)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    else:
        drawn = model.predict(pd.DataFrame({"seed": [1, 2, 1], "count": [2, 1, 2]}))
        assert (drawn.shape, drawn.dtype) == ((5, SIDE, SIDE), np.uint8)
        assert (drawn[:2] == drawn[3:]).all()
        assert (drawn[0] != drawn[2]).any()


def test_a_dataset_has_a_schema_that_mlflow_reads(repo: Path, params: Params) -> None:
    from mlflow.data.schema import TensorDatasetSchema

    with tracked("train_gan", params) as run:
        run.dataset("bundled", "d" * 40, "somewhere", SMALL)
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    for run_id in (run.run_id, run.parent_id):
        (given,) = client.get_run(run_id).inputs.dataset_inputs
        schema = TensorDatasetSchema.from_dict(json.loads(given.dataset.schema))
        (images,), (labels,) = schema.features.inputs, schema.targets.inputs
        assert (images.name, images.type, images.shape) == ("images", np.dtype("uint8"), (-1, SIDE, SIDE))
        assert (labels.name, labels.type, labels.shape) == ("labels", np.dtype("int64"), (-1,))


@pytest.mark.parametrize("kind", ["classifier"], indirect=True)
def test_a_signature_of_rotations_leaves_their_number_open(kind: str) -> None:
    profile = {"channels": 3, "height": 32, "width": 24, "classes": 0}
    signature = _signature(kind, profile)
    assert signature.inputs.inputs[0].shape == (-1, 32, 24, 3)
    assert signature.outputs.inputs[0].shape == (-1, -1)
    assert _signature("gan", profile).outputs.inputs[0].shape == (-1, 32, 24, 3)


def test_a_dataset_in_colour_has_three_channels_last() -> None:
    (images,) = json.loads(
        json.loads(image_schema({"channels": 3, "height": 9, "width": 7}))["mlflow_tensorspec"]["features"]
    )
    assert images["tensor-spec"]["shape"] == [-1, 9, 7, 3]
