"""`genbalance register` where a pipeline has run: what was measured is registered, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from committed import PARAMS, committed
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from genbalance import weights
from genbalance.cli import app
from genbalance.data import prepared
from genbalance.data.prepared import Prepared, Split
from genbalance.files import read_json, write_json
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

ROOT = Path(__file__).parents[2]
GAN = {"arch": "mlp", "size": 12, "latents": 4, "width": 4}
VAE = {"arch": "mlp", "likelihood": "bernoulli", "size": 12, "latents": 4, "width": 16, "log_sigma_floor": -6.0}
JUDGE = {"size": 12, "classes": 3, "width": 4}
PIPELINE = """
stages:
  prepare: {cmd: read, outs: [data/prepared]}
  train_classifier: {cmd: train, deps: [data/prepared], outs: [models/classifier.safetensors]}
  train_gan:
    {cmd: train, deps: [data/prepared], params: [lambda, seed, gan], outs: [models/gan.safetensors]}
  train_vae:
    {cmd: train, deps: [data/prepared], params: [beta, seed, vae], outs: [models/vae.safetensors]}
  evaluate:
    matrix: {model: [gan, vae]}
    cmd: measure
    deps: [data/prepared, models/classifier.safetensors, "models/${item.model}.safetensors"]
    metrics: ["metrics/evaluate_${item.model}.json": {cache: false}]
"""
pytestmark = [  # MLflow's own, of its own code
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
]


def trained(seed: int) -> None:
    torch.manual_seed(seed)
    for name, build, config in (("gan", Gan, GAN), ("vae", Vae, VAE), ("classifier", Classifier, JUDGE)):
        weights.save(Path(f"models/{name}.safetensors"), config, build(**config).state_dict())


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository as after a run, the working directory of the test."""
    from dvc.repo import Repo

    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS, tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (9, 12, 12), dtype=np.uint8)
    part = Split(images, np.arange(9) % 3)
    prepared.save(Prepared(part, part, part, "idx", "Noise", 3, 0.5, 0.3), Path("data/prepared"))
    trained(1)
    for kind in ("gan", "vae"):
        write_json(Path(f"metrics/evaluate_{kind}.json"), json.loads(committed(f"metrics/evaluate_{kind}.json")))
    Path("dvc.yaml").write_text(PIPELINE)
    commit(Repo.init(no_scm=True))
    return tmp_path


def commit(repo: object) -> None:
    """What `dvc repro` writes into dvc.lock, without its running anything."""
    repo.commit(force=True)
    repo.close()


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["register", *arguments])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


def test_what_was_measured_is_registered_and_a_better_one_later_takes_its_place(pipeline: Path) -> None:
    from dvc.repo import Repo

    code, told = said()
    assert code == 0
    assert told.splitlines() == [
        f"genbalance-{kind}: version 1 is new; it becomes the champion: there was none" for kind in ("gan", "vae")
    ]
    trained(2)
    for kind, key in (("gan", "fd_test"), ("vae", "nelbo")):
        metrics = read_json(Path(f"metrics/evaluate_{kind}.json"))
        write_json(Path(f"metrics/evaluate_{kind}.json"), metrics | {key: 0.5})
    commit(Repo())
    code, told = said()
    gan, vae = told.splitlines()  # the judge is another one, which a likelihood does not ask
    assert gan.startswith("genbalance-gan: version 2 is new; version 1 stays the champion: its fd_test ")
    assert gan.endswith(" was measured with a different classifier: not comparable")
    assert vae.startswith("genbalance-vae: version 2 is new; it becomes the champion: nelbo 0.5 beats ")

    version = MlflowClient(f"sqlite:///{pipeline / 'mlflow.db'}").get_model_version("genbalance-gan", "1")
    assert version.description.startswith("# genbalance-gan\n")
    assert "Noise (idx): 9 train, 9 val, 9 test; 3 classes of 12 × 12 grey pixels" in version.description


def test_models_that_lie_as_links_into_a_shared_cache_are_registered(
    pipeline: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from dvc.repo import Repo

    shared = tmp_path_factory.mktemp("shared")
    with Repo() as repo, repo.config.edit() as config:
        config["cache"] |= {"dir": str(shared), "type": ["symlink"]}
    repo = Repo()
    commit(repo)
    repo.checkout(relink=True, force=True)
    assert Path("models/gan.safetensors").is_symlink()
    assert (Path("data/prepared") / prepared.TENSORS).is_symlink()
    assert said("--model", "gan") == (
        0,
        "genbalance-gan: version 1 is new; it becomes the champion: there was none\n",
    )


def test_a_model_that_mlflow_does_not_take_is_refused_with_mlflows_own_reason(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise MlflowException("The following failures occurred:\n##### File gan.safetensors #####\nit is a link")

    monkeypatch.setattr("mlflow.pyfunc.save_model", refuse)
    code, told = said("--model", "gan")
    assert code == 1
    assert told.endswith(
        "\ngenbalance-gan: the model cannot be written: "
        "The following failures occurred: ##### File gan.safetensors ##### it is a link\n"
    )
    assert "MLFLOW_TRACKING_URI" not in told


@pytest.mark.parametrize("changed", ["models/gan.safetensors", "models/classifier.safetensors", "data/prepared"])
def test_what_is_not_what_was_measured_is_refused(changed: str, pipeline: Path) -> None:
    path = Path(changed) if Path(changed).is_file() else Path(changed) / prepared.TENSORS
    path.write_bytes(path.read_bytes() + b" ")
    code, told = said("--model", "gan")
    assert code == 1
    assert told == (
        f"{changed}: is not what metrics/evaluate_gan.json was measured with; run `dvc repro evaluate@gan`\n"
    )
    assert not (pipeline / "mlflow.db").exists()


def test_metrics_that_were_written_by_hand_are_refused(pipeline: Path) -> None:
    path = Path("metrics/evaluate_vae.json")
    write_json(path, read_json(path) | {"nelbo": 1.0})
    assert said("--model", "vae") == (
        1,
        "metrics/evaluate_vae.json: is not what dvc.lock records; run `dvc repro evaluate@vae`\n",
    )


def test_without_a_run_of_the_pipeline_there_is_nothing_to_register(pipeline: Path) -> None:
    Path("dvc.lock").unlink()
    code, told = said()
    assert code == 1
    assert told.startswith("dvc.lock: cannot be read: ")
