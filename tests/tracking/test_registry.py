"""Versions of registered models, the alias of the best, and that no pickle is among them."""

import hashlib
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from genbalance import weights
from genbalance.errors import UserError
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.serving.artist import Artist
from genbalance.serving.wishes import answer, wishes
from genbalance.tracking import registry
from genbalance.tracking.registry import ALIAS, Candidate, download, register, verdict
from genbalance.tracking.store import Store, reach

MODEL = {"arch": "mlp", "size": 12, "latents": 4, "width": 4}
JUDGE = {"size": 12, "classes": 3, "width": 4}
CONFIG = {"model": "gan", "mean": 0.1, "std": 0.3}
pytestmark = [  # MLflow's own, of its own code
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
]
BENCH = {"n": "1000", "digits": "d.dir", "judge": "j"}


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    torch.manual_seed(1)
    weights.save(tmp_path / "gan.safetensors", MODEL, Gan(**MODEL).state_dict())
    weights.save(tmp_path / "judge.safetensors", JUDGE, Classifier(**JUDGE).state_dict())
    files = (tmp_path / "gan.safetensors", "md5-1", tmp_path / "judge.safetensors")
    return Candidate("genbalance-gan", *files, CONFIG, "fd_test", 2.0, BENCH, "", {"git.dirty": "false"}, "# A card")


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
    said = register(store, candidate)
    assert said == "genbalance-gan: version 1 has these weights already; it becomes the champion: there was none"
    assert champion(store.client) == "1"


@pytest.mark.usefixtures("hollow")
def test_a_champion_whose_files_are_gone_is_registered_anew(store: Store, candidate: Candidate, repo: Path) -> None:
    register(store, candidate)
    shutil.rmtree(repo / "mlartifacts")
    said = register(store, candidate)
    assert said == ("genbalance-gan: version 2 is new; it becomes the champion: the files of the one before are gone")
    assert champion(store.client) == "2"


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions with the weights and the judge in them, and without what serves them."""

    def copy(candidate: Candidate, path: Path, model_id: str) -> None:
        (path / "artifacts").mkdir(parents=True)
        for file in (candidate.weights, candidate.judge):
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
@pytest.mark.usefixtures("filled")
def test_a_file_that_cannot_be_downloaded_is_named(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    register(store, candidate)
    (weights_file,) = (store.address.file.parent / "mlartifacts").rglob("gan.safetensors")
    weights_file.unlink()
    weights_file.symlink_to(tmp_path / "gone")
    told = refused("models:/genbalance-gan@champion", tmp_path / "there")
    assert "gan.safetensors" in told
    assert "No such file" in told


def test_weights_that_were_changed_in_the_store_are_refused(store: Store, candidate: Candidate, tmp_path: Path) -> None:
    register(store, candidate)  # with an md5 that is not the file's
    assert "holds no weights with the md5" in refused("models:/genbalance-gan@champion", tmp_path / "there")


def tags(candidate: Candidate, **changes: object) -> dict[str, str]:
    return replace(candidate, **changes).all_tags


@pytest.mark.parametrize(
    ("bench", "named"),
    [
        (BENCH | {"n": "500"}, "n"),
        (BENCH | {"digits": "e.dir", "judge": "k"}, "digits and classifier"),
        ({"n": "1000", "digits": "d.dir"}, "classifier"),
        (BENCH | {"likelihood": "gaussian"}, "likelihood"),
    ],
)
def test_what_was_measured_otherwise_is_never_beaten(candidate: Candidate, bench: dict, named: str) -> None:
    better, why = verdict(replace(candidate, value=0.1), tags(candidate, bench=bench))
    assert not better
    assert why == f"its fd_test 2.0 was measured with a different {named}: not comparable"


def test_a_champion_that_somebody_else_made_stays(candidate: Candidate) -> None:
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
        ".typed",
    }
    assert not any(zipfile.is_zipfile(path) or path.read_bytes()[:1] == b"\x80" for path in found)
    assert not list(registered.rglob("__pycache__"))

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = load_model(str(shutil.copytree(registered, tmp_path / "elsewhere")))
    table = pd.DataFrame([{"seed": 3, "count": 2}, {"digit": None, "seed": 4}])
    artist = Artist.load("gan", candidate.weights, candidate.judge, CONFIG["mean"], CONFIG["std"])
    without_seed = pd.DataFrame([{"count": 2}])
    for asked in (table, without_seed):
        expected = answer([artist.fulfil(wish) for wish in wishes(asked, classes=3)])
        pd.testing.assert_frame_equal(model.predict(asked), expected)


def test_a_wish_that_is_not_allowed_is_a_bad_request(registered: Path) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import load_model

    with pytest.raises(MlflowException, match="digit: found 3; allowed: whole numbers from -1 to 2") as told:
        load_model(str(registered)).predict(pd.DataFrame([{"digit": 3, "seed": 1}]))
    assert told.value.get_http_status_code() == 400
