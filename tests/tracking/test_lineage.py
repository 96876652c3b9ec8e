"""The key of what goes into a stage, and what a lock file's entry says of it."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from committed import PARAMS
from dvc.repo import Repo

from genbalance.experiments.dvc_lock import hashes
from genbalance.params import read_params
from genbalance.tracking.lineage import key_of, lineage

ENTRY = {
    "cmd": "python stages/train_vae.py",
    "deps": [{"path": "data", "md5": "a.dir"}, {"path": "src/x.py", "md5": "b"}],
    "params": {"params.yaml": {"beta": 1.0, "vae": {"epochs": 3, "prior": "normal", "widths": [1.0, 2]}}},
    "outs": [{"path": "models/vae", "md5": "c"}],
}

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of DVC's own


def changed(*path: object, value: object) -> dict:
    entry = deepcopy(ENTRY)
    inner = entry
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return entry


@pytest.mark.parametrize(
    "other",
    [
        changed("cmd", value="python stages/train_gan.py"),
        changed("deps", 1, "md5", value="d"),
        changed("deps", 1, "path", value="src/y.py"),
        changed("params", "params.yaml", "beta", value=1.5),
        changed("params", "params.yaml", "vae", "prior", value="flow"),
        changed("params", "params.yaml", "vae", "epochs", value=True),
    ],
)
def test_another_command_dep_or_param_is_another_key(other: dict) -> None:
    assert key_of(other) != key_of(ENTRY)


@pytest.mark.parametrize(
    "same",
    [
        changed("outs", 0, "md5", value="d"),  # what comes out is no part of what goes in
        changed("deps", value=ENTRY["deps"][::-1]),
        changed("params", "params.yaml", "beta", value=1),  # DVC takes 1 and 1.0 for equal, and keeps the older
        changed("params", "params.yaml", "vae", "widths", value=[1, 2.0]),
    ],
)
def test_what_dvc_takes_for_equal_has_the_same_key(same: dict) -> None:
    assert key_of(same) == key_of(ENTRY)


def test_hashes_are_found_by_path() -> None:
    assert hashes(ENTRY["outs"]) == {"models/vae": "c"}


def test_outside_of_dvc_there_is_no_key(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ends = lineage("train_vae")
    assert (ends.key, ends.outs()) == ("", {})


def test_inputs_that_change_while_a_stage_runs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage = {"cmd": "cp a b", "deps": ["a", "code"], "params": ["beta", "vae", "gan.arch"], "outs": ["b"]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {"some": stage | {"matrix": {"item": ["1"]}}}}))
    text = "beta: 1.0\nlambda: 1\nvae: {epochs: 2, width: 3}\ngan: {arch: mlp, width: 4}\n"
    Path("params.yaml").write_text(text)
    Path("code").mkdir()
    for name in ("a", "code/b"):
        Path(name).write_text("1")
    Repo.init(no_scm=True)
    ends = lineage("some_1")
    Path("b").write_text("what comes out")
    Path("params.yaml").write_text(text.replace("1.0", "1").replace("lambda: 1", "lambda: 2").replace("4", "5"))
    assert ends.changed() == []
    Path("params.yaml").write_text(text.replace("beta: 1.0", "beta: 4").replace("epochs: 2", "epochs: 3"))
    Path("code/b").write_text("2")
    assert ends.changed() == ["beta", "vae.epochs", "code"]
    Path("a").unlink()
    assert ends.changed() == ["beta", "vae.epochs", "a", "code"]
    Path("params.yaml").write_text(text.replace("beta: 1.0\n", ""))
    assert "beta" in ends.changed()
    Path("params.yaml").write_text("{")
    assert "beta" in ends.changed()
    Path("params.yaml").write_text(text)
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("cp a b", "cp -p a b"))
    assert "cmd" in ends.changed()


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Three stages in a row, each of which has run once; the working directory of the test."""
    monkeypatch.chdir(tmp_path)
    stages = {
        name: {"cmd": f"cp {given} {made}", "deps": [given], "outs": [made]}
        for name, given, made in (("first", "a", "b"), ("second", "b", "c"), ("third", "c", "d"))
    }
    Path("dvc.yaml").write_text(json.dumps({"stages": stages}))
    Path("a").write_text("1")
    repo = Repo.init(no_scm=True)
    repo.reproduce()
    return repo


def given(text: str) -> None:
    """What the first stage leaves when it is given ``text``."""
    for name in ("a", "b"):
        Path(name).unlink()
        Path(name).write_text(text)


@pytest.mark.parametrize(
    ("command", "remaining"),
    [
        ("dvc repro", ["second", "third"]),
        ("/usr/bin/python /usr/bin/dvc repro", ["second", "third"]),
        ("python -m dvc exp run -n name", ["second", "third"]),
        ("dvc exp exec-run --infofile x", ["second", "third"]),
        ("dvc repro first", []),
        ("dvc repro second", ["second"]),
        ("dvc repro -s first", []),
        ("dvc repro -s first second", []),
        ("dvc repro --downstream first", ["second", "third"]),
        ("dvc repro -P", ["second", "third"]),
        ("python stages/first.py", []),  # what else is to run is not known
        ("dvc no-such-command", []),
    ],
)
def test_the_stages_that_dvc_is_still_to_run_are_known(command: str, remaining: list[str], chain: Repo) -> None:
    given("2")
    assert lineage("first").remaining(command.split(), read_params(PARAMS)) == remaining
    assert lineage("third").remaining(command.split(), read_params(PARAMS)) == []


def test_what_did_not_change_does_not_remain_unless_it_is_forced(chain: Repo) -> None:
    assert lineage("first").remaining(["dvc", "repro"], read_params(PARAMS)) == []
    assert lineage("first").remaining(["dvc", "repro", "-f"], read_params(PARAMS)) == ["second", "third"]
    Path("d").unlink()
    Path("d").write_text("by hand")
    assert lineage("first").remaining(["dvc", "repro", "--no-run-cache"], read_params(PARAMS)) == ["third"]


def test_what_dvc_restores_from_its_run_cache_does_not_remain(chain: Repo) -> None:
    given("2")
    chain.reproduce()
    given("1")  # of which the run cache has all
    assert lineage("first").remaining(["dvc", "repro"], read_params(PARAMS)) == []
    assert lineage("first").remaining(["dvc", "repro", "--no-run-cache"], read_params(PARAMS)) == ["second", "third"]
    assert [stage.addressing for stage in chain.reproduce()] == ["first", "second", "third"]


def test_all_stages_remain_before_the_first_run(chain: Repo) -> None:
    Path("dvc.lock").unlink()
    shutil.rmtree(".dvc/cache/runs", ignore_errors=True)
    shutil.rmtree(".dvc/cache/files/md5/runs", ignore_errors=True)
    assert lineage("first").remaining(["dvc", "repro"], read_params(PARAMS)) == ["second", "third"]
