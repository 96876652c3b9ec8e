"""`genbalance register`: versions of models, made of what was measured alone; the alias of the best; no pickle."""

import hashlib
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from committed import PARAMS, committed
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.data import prepared
from genbalance.data.prepared import Prepared, Split
from genbalance.families.registry import known
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import read_json, write_json
from genbalance.sampling.server import Server, answer, parse_requests
from genbalance.tracking import registry
from genbalance.tracking.registry import ALIAS, Candidate, download, register, verdict
from genbalance.tracking.store import Store, reach

GAN = {"arch": "mlp", "shape": [1, 12, 12], "latents": 4, "width": 4}
CLASSIFIER = {"shape": [1, 12, 12], "classes": 3, "width": 4}
VAE = {
    "arch": "mlp",
    "likelihood": "bernoulli",
    "shape": [1, 12, 12],
    "latents": 4,
    "width": 16,
    "log_sigma_floor": -6.0,
}
CONFIG = {"model": "gan", "mean": 0.1, "std": 0.3}
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
SUITE = {"n": "1000", "digits": "d.dir", "judge": "j"}


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    torch.manual_seed(1)
    weights.save(tmp_path / "gan.safetensors", GAN, Gan(**GAN).state_dict())
    weights.save(tmp_path / "classifier.safetensors", CLASSIFIER, Classifier(**CLASSIFIER).state_dict())
    files = (tmp_path / "gan.safetensors", "md5-1", tmp_path / "classifier.safetensors")
    return Candidate(
        "genbalance-gan", *files, CONFIG, "fd_test", 2.0, SUITE, "", {"git.dirty": "false"}, "# A card", 10
    )


@pytest.fixture
def store(repo: Path) -> Store:
    return reach("genbalance")


@pytest.fixture
def hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions without a model in them, where only the registry's own doing is looked at."""

    def save(candidate: Candidate, path: Path, model_id: str) -> None:
        path.mkdir()
        (path / "MLmodel").write_text("")

    monkeypatch.setattr(registry, "_save", save)


def champion(client: MlflowClient) -> str:
    return str(client.get_model_version_by_alias("genbalance-gan", ALIAS).version)


@pytest.mark.usefixtures("hollow")
def test_the_alias_moves_to_what_is_better_and_stays_otherwise(store: Store, candidate: Candidate) -> None:
    lines = [register(store, candidate)]
    holders = [champion(store.client)]
    for number, value in enumerate((2.5, 2.0, 1.5), 2):
        lines.append(register(store, replace(candidate, md5=f"md5-{number}", value=value)))
        holders.append(champion(store.client))
    assert holders == ["1", "1", "1", "4"]
    assert lines == [
        "genbalance-gan: version 1 is new; it becomes the champion: there was none",
        "genbalance-gan: version 2 is new; version 1 stays the champion: fd_test 2.5 does not beat 2.0",
        "genbalance-gan: version 3 is new; version 1 stays the champion: fd_test 2.0 does not beat 2.0",
        "genbalance-gan: version 4 is new; it becomes the champion: fd_test 1.5 beats 2.0",
    ]


@pytest.mark.usefixtures("hollow")
def test_the_same_weights_are_one_version(store: Store, candidate: Candidate) -> None:
    register(store, candidate)
    again = register(store, replace(candidate, card="# Another", value=1.0))
    assert again == "genbalance-gan: version 1 has these weights already and is the champion"
    assert len(store.client.search_model_versions("name = 'genbalance-gan'")) == 1


@pytest.mark.usefixtures("hollow")
def test_a_version_that_got_no_alias_before_may_still_get_it(store: Store, candidate: Candidate) -> None:
    register(store, candidate)
    store.client.delete_registered_model_alias("genbalance-gan", ALIAS)  # as if it had been cut off before
    line = register(store, candidate)
    assert line == "genbalance-gan: version 1 has these weights already; it becomes the champion: there was none"
    assert champion(store.client) == "1"


@pytest.mark.usefixtures("hollow")
def test_a_champion_whose_files_are_gone_is_registered_anew(store: Store, candidate: Candidate, repo: Path) -> None:
    register(store, candidate)
    shutil.rmtree(repo / "mlartifacts")
    line = register(store, candidate)
    assert line == ("genbalance-gan: version 2 is new; it becomes the champion: the files of the one before are gone")
    assert champion(store.client) == "2"


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions with the weights and the classifier in them, and without what serves them."""

    def copy(candidate: Candidate, path: Path, model_id: str) -> None:
        (path / "artifacts").mkdir(parents=True)
        for file in (candidate.weights, candidate.classifier):
            shutil.copy(file, path / "artifacts")

    monkeypatch.setattr(registry, "_save", copy)


def refused(name: str, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        download(name, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("filled")
def test_the_weights_of_a_version_come_back_as_they_were(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    content = candidate.weights.read_bytes()
    for value in (2.0, 3.0):  # the second one is no champion, and has other weights
        md5 = hashlib.md5(candidate.weights.read_bytes()).hexdigest()
        register(store, replace(candidate, md5=md5, value=value))
        candidate.weights.write_bytes(candidate.weights.read_bytes() + b" ")
    for name in ("models:/genbalance-gan@champion", "models:/genbalance-gan/1", "models:/genbalance-gan/2"):
        folder = tmp_path / name[-2:].replace("/", "")
        assert download(name, folder).read_bytes() == content + b" " * name.endswith("/2")
    named = "models:/genbalance-gan"
    for text in (f"{named}@challenger", f"{named}/3"):
        assert refused(text, tmp_path) == f"{text}: is not registered; allowed of genbalance-gan: @champion, 1, 2"
    assert refused("models:/none/1", tmp_path).endswith("allowed: genbalance-gan; run `genbalance register`")


@pytest.mark.usefixtures("filled")
def test_a_file_that_cannot_be_downloaded_is_named(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    register(store, candidate)
    (weights_file,) = (store.address.file.parent / "mlartifacts").rglob("gan.safetensors")
    weights_file.unlink()
    weights_file.symlink_to(tmp_path / "gone")
    message = refused("models:/genbalance-gan@champion", tmp_path / "there")
    assert "gan.safetensors" in message
    assert "No such file" in message


def test_weights_that_were_changed_in_the_store_are_refused(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    register(store, candidate)  # with an md5 that is not the file's
    assert "holds no weights with the md5" in refused("models:/genbalance-gan@champion", tmp_path / "there")


def tags(candidate: Candidate, **changes: object) -> dict[str, str]:
    return replace(candidate, **changes).all_tags


@pytest.mark.parametrize(
    ("suite", "named"),
    [
        (SUITE | {"n": "500"}, "n"),
        (SUITE | {"digits": "e.dir", "judge": "k"}, "digits and classifier"),
        ({"n": "1000", "digits": "d.dir"}, "classifier"),
        (SUITE | {"likelihood": "gaussian"}, "likelihood"),
    ],
)
def test_what_was_measured_otherwise_is_never_beaten(candidate: Candidate, suite: dict, named: str) -> None:
    better, why = verdict(replace(candidate, value=0.1), tags(candidate, suite=suite))
    assert not better
    assert why == f"its fd_test 2.0 was measured with a different {named}: not comparable"


def test_a_champion_without_a_recorded_metric_stays(candidate: Candidate) -> None:
    assert verdict(candidate, {}) == (False, "its fd_test is not recorded")


def test_a_value_survives_its_tag(candidate: Candidate) -> None:
    value = 0.1 + 0.2
    assert not verdict(replace(candidate, value=value), tags(candidate, value=value))[0]


@pytest.fixture
def registered(store: Store, candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a version."""
    run = store.client.create_run(store.experiment_id)
    register(store, replace(candidate, run_id=run.info.run_id))
    version = store.client.get_model_version_by_alias("genbalance-gan", ALIAS)
    assert (version.description, version.run_id) == ("# A card", run.info.run_id)
    assert version.tags == candidate.all_tags
    # the names that versions have whatever module writes them: a new one would not find the old ones
    assert {
        "genbalance.weights.md5",
        "genbalance.metric.fd_test",
        "genbalance.measured.on.judge",
    } <= version.tags.keys()
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow puts the model's own code in front
    return Path(version.source.removeprefix("file://"))


def test_a_version_holds_no_pickle_and_answers_without_one(
    registered: Path, candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.pyfunc import load_model

    found = [path for path in registered.rglob("*") if path.is_file()]
    assert {path.suffix for path in found} <= {
        "",
        ".py",
        ".json",
        ".yaml",
        ".txt",
        ".safetensors",
        ".j2",
        ".css",
        ".js",
        ".typed",
    }
    assert not any(zipfile.is_zipfile(path) or path.read_bytes()[:1] == b"\x80" for path in found)
    assert not list(registered.rglob("__pycache__"))

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = load_model(str(shutil.copytree(registered, tmp_path / "elsewhere")))
    table = pd.DataFrame([{"seed": 3, "count": 2}, {"digit": None, "seed": 4}])
    server = Server.load("gan", candidate.weights, candidate.classifier, CONFIG["mean"], CONFIG["std"])
    without_seed = pd.DataFrame([{"count": 2}])
    for asked in (table, without_seed):
        expected = answer([server.draw(request) for request in parse_requests(asked, classes=3)])
        pd.testing.assert_frame_equal(model.predict(asked), expected)


def test_a_request_that_is_not_allowed_is_a_bad_request(registered: Path) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import load_model

    with pytest.raises(MlflowException, match="digit: found 3; allowed: whole numbers from -1 to 2") as error:
        load_model(str(registered)).predict(pd.DataFrame([{"digit": 3, "seed": 1}]))
    assert error.value.get_http_status_code() == 400


def trained(seed: int) -> None:
    torch.manual_seed(seed)
    for name, build, config in (("gan", Gan, GAN), ("vae", Vae, VAE), ("classifier", Classifier, CLASSIFIER)):
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
        write_json(Path(f"metrics/train_{kind}.json"), {"likelihood": "bernoulli"} if kind == "vae" else {})
    Path("dvc.yaml").write_text(PIPELINE)
    commit(Repo.init(no_scm=True))
    return tmp_path


def commit(repo: object) -> None:
    """What `dvc repro` writes into dvc.lock, without its running anything."""
    repo.commit(force=True)
    repo.close()


def registered_by_command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["register", *arguments])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


def test_what_was_measured_is_registered_and_a_better_one_later_takes_its_place(pipeline: Path) -> None:
    from dvc.repo import Repo

    code, printed = registered_by_command()
    assert code == 0
    assert printed.splitlines() == [
        f"genbalance-{kind}: version 1 is new; it becomes the champion: there was none" for kind in ("gan", "vae")
    ]
    trained(2)
    for kind, key in (("gan", "fd_test"), ("vae", "nelbo")):
        metrics = read_json(Path(f"metrics/evaluate_{kind}.json"))
        write_json(Path(f"metrics/evaluate_{kind}.json"), metrics | {key: 0.5})
    commit(Repo())
    code, printed = registered_by_command()
    gan, vae = printed.splitlines()  # the classifier is another one, on which a likelihood does not depend
    assert gan.startswith("genbalance-gan: version 2 is new; version 1 stays the champion: its fd_test ")
    assert gan.endswith(" was measured with a different classifier: not comparable")
    assert vae.startswith("genbalance-vae: version 2 is new; it becomes the champion: nelbo 0.5 beats ")

    version = MlflowClient(f"sqlite:///{pipeline / 'mlflow.db'}").get_model_version("genbalance-gan", "1")
    assert version.description.startswith("# genbalance-gan\n")
    assert "Noise (idx): 9 train, 9 val, 9 test; 3 classes of 12 × 12 grey pixels" in version.description


def test_a_version_of_a_private_training_has_its_epsilon_and_delta_as_tags(pipeline: Path) -> None:
    from dvc.repo import Repo

    spent = {"epsilon": 9.98, "delta": 1e-5, "noise_multiplier": 0.8, "likelihood": "bernoulli"}
    write_json(Path("metrics/train_vae.json"), spent)
    commit(Repo())
    assert registered_by_command()[0] == 0
    client = MlflowClient(f"sqlite:///{pipeline / 'mlflow.db'}")
    tags = {name: client.get_model_version(f"genbalance-{name}", "1").tags for name in ("gan", "vae")}
    assert tags["vae"]["genbalance.privacy.epsilon"] == "9.98"
    assert tags["vae"]["genbalance.privacy.delta"] == "1e-05"
    assert not [key for key in tags["gan"] if key.startswith("genbalance.privacy.")]


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
    assert registered_by_command("--model", "gan") == (
        0,
        "genbalance-gan: version 1 is new; it becomes the champion: there was none\n",
    )


def test_a_model_that_mlflow_does_not_take_is_refused_with_mlflows_own_reason(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise MlflowException("The following failures occurred:\n##### File gan.safetensors #####\nit is a link")

    # by its name in sys.modules: until something has loaded it, mlflow.pyfunc is a stand-in that loads it
    monkeypatch.setattr(import_module("mlflow.pyfunc"), "save_model", refuse)
    code, printed = registered_by_command("--model", "gan")
    assert code == 1
    assert printed.endswith(
        "\ngenbalance-gan: the model cannot be written: "
        "The following failures occurred: ##### File gan.safetensors ##### it is a link\n"
    )
    assert "MLFLOW_TRACKING_URI" not in printed


@pytest.mark.parametrize("changed", ["models/gan.safetensors", "models/classifier.safetensors", "data/prepared"])
def test_what_is_not_what_was_measured_is_refused(changed: str, pipeline: Path) -> None:
    path = Path(changed) if Path(changed).is_file() else Path(changed) / prepared.TENSORS
    path.write_bytes(path.read_bytes() + b" ")
    code, printed = registered_by_command("--model", "gan")
    assert code == 1
    assert printed == (
        f"{changed}: is not what metrics/evaluate_gan.json was measured with; run `dvc repro evaluate@gan`\n"
    )
    assert not (pipeline / "mlflow.db").exists()


def test_metrics_that_were_written_by_hand_are_refused(pipeline: Path) -> None:
    path = Path("metrics/evaluate_vae.json")
    write_json(path, read_json(path) | {"nelbo": 1.0})
    assert registered_by_command("--model", "vae") == (
        1,
        "metrics/evaluate_vae.json: is not what dvc.lock records; run `dvc repro evaluate@vae`\n",
    )


def test_a_family_that_is_not_trained_is_not_registered(pipeline: Path) -> None:
    text = Path("params.yaml").read_text()
    first, *others = known()
    for name in others:
        text = re.sub(rf"^  {name}: true", f"  {name}: false", text, flags=re.MULTILINE)
    Path("params.yaml").write_text(text)
    code, printed = registered_by_command()
    assert (code, [line.partition(":")[0] for line in printed.splitlines()]) == (0, [f"genbalance-{first}"])


def test_without_a_run_of_the_pipeline_there_is_nothing_to_register(pipeline: Path) -> None:
    Path("dvc.lock").unlink()
    code, printed = registered_by_command()
    assert code == 1
    assert printed.startswith("dvc.lock: cannot be read: ")
