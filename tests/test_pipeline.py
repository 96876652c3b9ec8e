"""The whole pipeline through real DVC, in fresh repositories, on a few hundred of the bundled digits."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import requests
from plots import DRAWN, IMAGES, NUMBERS, PLOTS, tables
from safetensors import safe_open
from servers import Team, bucket, postgres, team
from small_repository import EVERY, OFF, call, dvc, fresh_repository, genbalance, run_programs, runs, stages_run

__all__ = ["bucket", "postgres", "team"]
BY_COEFFICIENT = ("gan_fd", "gan_recall", "vae_fd", "rate", "distortion", "nll")  # of metrics/summary.json


def contents(repository: Path) -> dict[str, str]:
    """The md5 of dvc.lock and of every file of metrics/ and of the report."""
    files = [repository / "dvc.lock", *(repository / "metrics").rglob("*"), *(repository / "reports").rglob("*")]
    return {
        str(file.relative_to(repository)): hashlib.md5(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name != ".gitignore"
    }


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    repository = fresh_repository(tmp_path_factory.mktemp("first"))
    output = call(repository, "dvc", "repro")
    dvc(repository, "remote", "add", "-d", "team", f"{repository}-remote")
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", "reproduced")
    return repository, output


@pytest.fixture(scope="module")
def queued(reproduced: tuple[Path, str]) -> Path:
    """The reproduced repository with two experiments that a queue has run: `only-gan` and `only-vae`."""
    repository, _ = reproduced
    call(repository, "dvc", "exp", "run", "--queue", "-n", "only-gan", "-S", "lambda=0.5")
    # code of the snapshot alone: the workspace goes back to the committed file before the workers start
    stage = repository / "stages" / "train_vae.py"
    committed = stage.read_text()
    stage.write_text(committed.replace("    device =", '    run.log({"of_the_snapshot": 1.0})\n    device ='))
    call(repository, "dvc", "exp", "run", "--queue", "-n", "only-vae", "-S", "beta=4")
    stage.write_text(committed)
    call(repository, "dvc", "exp", "run", "--run-all", "--jobs", "2")
    return repository


@pytest.fixture
def repository(reproduced: tuple[Path, str]) -> Iterator[Path]:
    """The reproduced repository, put back to its commit after the test."""
    yield reproduced[0]
    call(reproduced[0], "git", "checkout", "-q", ".")
    dvc(reproduced[0], "checkout", "-q")


def test_every_stage_runs_and_nothing_is_left_to_do(reproduced: tuple[Path, str]) -> None:
    repository, output = reproduced
    assert sorted(stages_run(output)) == sorted([*EVERY, *OFF])
    assert "up to date" in dvc(repository, "status")
    assert not stages_run(call(repository, "dvc", "repro"))
    assert not call(repository, "git", "status", "--porcelain")


def test_every_plot_finds_the_columns_and_images_that_the_stages_leave(reproduced: tuple[Path, str]) -> None:
    shown = json.loads(call(reproduced[0], "dvc", "plots", "show", "--json"))
    assert "errors" not in shown
    assert shown["data"].keys() == {*PLOTS, *NUMBERS}
    assert not any(shown["data"][name] for name in NUMBERS)  # git keeps them; no chart is drawn of them
    for name in DRAWN:
        (entry,) = shown["data"][name]
        in_every_row = set.intersection(*(set(row) for row in entry["content"]["data"]["values"]))
        assert {PLOTS[name]["x"], *chain(*tables(name).values())} <= in_every_row
        assert name != "class shares" or "real" in in_every_row  # the ticks
    assert all(Path(shown["data"][name][0]["url"]).read_bytes().startswith(b"\x89PNG") for name in IMAGES)
    assert not call(reproduced[0], "git", "status", "--porcelain")


def test_every_stage_is_a_run_and_the_parent_is_complete(reproduced: tuple[Path, str]) -> None:
    parents, children = runs(reproduced[0])
    (parent,) = parents
    assert sorted(child["name"] for child in children) == sorted(name.replace("@", "_") for name in EVERY)
    assert {run["status"] for run in [parent, *children]} == {"FINISHED"}
    assert {"lambda", "beta", "seed", "data.source"} <= parent["params"].keys()
    assert {"gan_fd_test", "vae_fd_test", "vae_nelbo", "test_accuracy"} <= parent["metrics"].keys()


def test_nothing_that_is_left_is_a_pickle(reproduced: tuple[Path, str]) -> None:
    files = [
        path
        for folder in ("data/prepared", "models", "artifacts", "metrics", "reports", "mlartifacts")
        for path in (reproduced[0] / folder).rglob("*")
        if path.is_file()
    ]
    assert {".safetensors", ".json", ".csv", ".png", ".html"} <= {path.suffix for path in files}
    for path in files:
        if path.suffix == ".safetensors":  # starts with a length, which may look like anything
            if path.read_bytes().startswith(b"families."):  # of a family that is off
                continue
            with safe_open(path, framework="np") as tensors:
                assert list(tensors.keys()), path
        else:  # a pickle's protocol, or the zip archive that torch.save puts one into
            assert not path.read_bytes().startswith((b"\x80", b"PK\x03\x04")), path


def test_another_clone_gives_the_same_bytes(reproduced: tuple[Path, str], tmp_path: Path, tables: Path) -> None:
    """There without DVC and in one process: no stage depends on what ran before it, either."""
    again = fresh_repository(tmp_path)
    shutil.copy(tables, again)
    run_programs(again, *EVERY[:-1], *OFF, EVERY[-1])
    dvc(again, "commit", "-q", "--force")  # writes dvc.lock
    first = contents(reproduced[0])
    assert "dvc.lock" in first
    assert "reports/index.html" in first
    assert contents(again) == first


def test_a_commit_leads_to_its_runs_and_a_run_to_its_commits(reproduced: tuple[Path, str]) -> None:
    repository, _ = reproduced
    head = call(repository, "git", "rev-parse", "HEAD")[:12]
    rows = [line.split() for line in genbalance(repository, "runs").splitlines()[1:]]
    assert sorted(row[0] for row in rows) == sorted(EVERY)
    (parent,) = {run["parent"] for run in runs(repository)[1] if run["id"] in {row[1] for row in rows}}
    for run in (rows[0][1], rows[-1][1], parent):
        assert genbalance(repository, "commits", run).splitlines()[1].startswith(head)


def test_what_is_restored_and_not_run_gets_a_run_too(repository: Path, tables: Path) -> None:
    report = repository / "stages/report.py"
    report.write_text(report.read_text() + "# as before\n")
    first, second = ({"MLFLOW_TRACKING_URI": f"sqlite:///{name}.db"} for name in ("first", "second"))
    assert stages_run(call(repository, "dvc", "repro", **first)) == ["report"]
    (parent,), children = runs(repository, "first.db")
    assert sorted(child["name"] for child in children) == sorted(name.replace("@", "_") for name in EVERY)
    assert {run["status"] for run in [parent, *children]} == {"FINISHED"}
    assert genbalance(repository, "sync", **first) == "every stage has its MLflow run\n"
    # the committed report was made of other code; its bytes are the same
    assert genbalance(repository, "runs", **first).count("restored from the cache") == len(EVERY) - 1

    shutil.copy(tables, repository / "second.db")
    assert genbalance(repository, "sync", **second).startswith("logged as restored: prepare, ")
    told = json.loads((repository / "metrics/evaluate_vae.json").read_text())
    (measured,) = [run for run in runs(repository, "second.db")[1] if run["name"] == "evaluate_vae"]
    assert measured["metrics"]["nelbo"] == told["nelbo"]


def test_dvcs_tables_fit_into_120_columns(repository: Path) -> None:
    """Of an experiment that changes both coefficients, and so every number that they have a part in."""
    names = json.loads((repository / "metrics/summary.json").read_text())
    summary = {name: value + 0.5 for name, value in names.items() if name in BY_COEFFICIENT}
    (repository / "metrics/summary.json").write_text(json.dumps(names | summary))
    params = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(
        params.replace("lambda: 1.0", "lambda: 0.25").replace("beta: 1.0", "beta: 0.5")
    )
    dvc(repository, "exp", "save", "-n", "prime-vibe")
    wide = call(repository, "dvc", "exp", "show", "--only-changed", "--no-pager", COLUMNS="999").splitlines()
    (header,) = [line for line in wide if "Experiment" in line]
    shown = header[:120].split()
    assert [name for name in shown if name not in ("Experiment", "Created")][:8] == [*BY_COEFFICIENT, "lambda", "beta"]
    differing = json.loads(call(repository, "dvc", "metrics", "diff", "HEAD", "prime-vibe", "--json"))
    assert differing.keys() == {"metrics/summary.json"}
    assert differing["metrics/summary.json"].keys() == summary.keys()
    assert len(names) <= 12


def test_a_bad_value_stops_the_first_stage_with_one_line_and_nothing_is_lost(repository: Path) -> None:
    output = call(repository, "dvc", "exp", "run", "-S", "beta=hello", succeeds=False)
    assert "train_vae: params.yaml: beta: found 'hello'; allowed: a number, 0 … 1000" in output
    assert "Traceback" not in output
    call(repository, "git", "checkout", "-q", ".")
    dvc(repository, "checkout", "-q")
    assert "up to date" in dvc(repository, "status")
    assert not list(repository.rglob(".part-*"))


def test_queued_experiments_rerun_their_own_model_alone_on_their_own_code_into_the_store_at_the_root(
    queued: Path, repository: Path
) -> None:
    parents, children = runs(repository)
    for model, key, value in (("gan", "lambda", "0.5"), ("vae", "beta", "4")):
        name = f"only-{model}"
        ran = stages_run(call(repository, "dvc", "queue", "logs", name))
        ran = [stage for stage in ran if stage not in OFF]
        assert ran == [f"train_{model}", f"evaluate@{model}", "report"]
        (commit,) = call(
            repository, "git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}"
        ).splitlines()
        changed = call(repository, "git", "diff", "--unified=0", "HEAD", commit, "--", "params.yaml").splitlines()[5:]
        assert [line[:1] for line in changed] == ["-", "+"]  # that value, and nothing else
        assert changed[1].startswith(f"+{key}: {value} ")

        (parent,) = [run for run in parents if run["name"] == f"{name} {key}={value}"]
        members = {run["name"]: run for run in children if run["parent"] == parent["id"]}
        assert set(members) == {stage.replace("@", "_") for stage in ran}
        assert {run["status"] for run in [parent, *members.values()]} == {"FINISHED"}
        assert ("of_the_snapshot" in members[f"train_{model}"]["metrics"]) is (model == "vae")
        assert float(parent["params"][key]) == float(value)
        assert parent["datasets"] == {"bundled"}
        assert {"gan_fd_test", "vae_fd_test", "vae_nelbo"} <= parent["metrics"].keys()
    compared = json.loads(call(repository, "dvc", "plots", "diff", "main", "only-gan", "only-vae", "--json"))["data"]
    shown = {name: sorted(rev for entry in compared[name] for rev in entry["revisions"]) for name in PLOTS}
    assert shown == {name: ["main", "only-gan", "only-vae"] for name in PLOTS}


def test_a_clone_pulls_what_others_pushed_and_trains_nothing(queued: Path, repository: Path, tmp_path: Path) -> None:
    """The commands of docs/team.md, with a folder as DVC's remote."""
    origin = str(tmp_path / "origin.git")
    call(tmp_path, "git", "init", "-q", "--bare", "-b", "main", origin)
    call(repository, "git", "push", "-q", origin, "main")
    dvc(repository, "push")
    dvc(repository, "exp", "push", origin, "only-vae")

    call(tmp_path, "git", "clone", "-q", origin, "clone")
    clone = tmp_path / "clone"
    dvc(clone, "pull")
    assert "up to date" in dvc(clone, "status")
    assert not stages_run(call(clone, "dvc", "repro"))
    assert contents(clone) == contents(repository)
    assert "reports/index.html" in contents(clone)
    assert not (clone / "mlflow.db").exists()  # runs come by `genbalance sync`

    dvc(clone, "exp", "pull", "origin", "only-vae")
    compared = ("compare", "main", "only-vae")
    assert genbalance(clone, *compared) == genbalance(repository, *compared)
    dvc(clone, "exp", "apply", "only-vae")
    assert "up to date" in dvc(clone, "status")


def test_a_team_s_server_has_all_that_the_local_store_has(team: Team, queued: Path, tmp_path: Path) -> None:
    """MLflow with passwords on PostgreSQL and S3, for a clone of somebody who is not its admin and has no key of S3."""
    from mlflow import MlflowClient, pyfunc

    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(queued), "clone")
    dvc(clone, "config", "--local", "cache.dir", str(queued / ".dvc/cache"))
    dvc(clone, "checkout", "-q")
    call(clone, "git", "fetch", "-q", "origin", "refs/exps/*:refs/exps/*")
    account = {"username": "bob", "password": "another p@ss"}
    requests.post(
        f"{team.url}/api/2.0/mlflow/users/create", json=account, auth=team.admin, timeout=60
    ).raise_for_status()
    bob = team.login(*account.values())

    refused = genbalance(clone, "sync", **team.login("bob", "a wrong one"), succeeds=False)
    assert "cannot be used: it answers 401 Unauthorized" in refused.splitlines()[-1]
    assert "wrong" not in refused
    assert f"{len(EVERY) + 1} runs copied from" in genbalance(clone, "sync", **bob)  # the stages' and their parent
    assert stages_run(call(clone, "dvc", "repro", "-sf", "train_vae", **bob)) == ["train_vae"]
    assert not call(clone, "git", "status", "--porcelain")
    rows = genbalance(clone, "runs", **bob).splitlines()[1:]
    assert {row.split()[0] for row in rows} == set(EVERY)
    (trained,) = [row.split()[1] for row in rows if "restored from the cache" not in row]
    assert call(clone, "git", "rev-parse", "HEAD")[:12] in genbalance(clone, "commits", trained, **bob)
    assert "In MLflow: " in genbalance(clone, "compare", "HEAD", "only-vae", "--mlflow", **bob)
    assert "champion" in genbalance(clone, "register", "--model", "gan", **bob)

    local = max((run for run in runs(clone)[1] if run["name"] == "train_vae"), key=lambda run: len(run["metrics"]))
    with mock.patch.dict(os.environ, bob):
        client = MlflowClient(team.url)
        found = client.search_runs([client.get_experiment_by_name("genbalance").experiment_id])
        assert all(run.info.artifact_uri.startswith("mlflow-artifacts:/") for run in found)
        run = client.get_run(trained)
        assert (run.data.metrics, run.data.params) == (local["metrics"], local["params"])
        assert client.list_artifacts(trained, "images")
        version = client.get_model_version_by_alias("genbalance-gan", "champion")
        assert client.get_model_version_download_uri(version.name, version.version).startswith("mlflow-artifacts:/")
        asked = pd.DataFrame([{"digit": -1, "seed": 1, "count": 2}])
        assert len(pyfunc.load_model("models:/genbalance-gan@champion").predict(asked)) == 2
    assert {file.name for file in team.folder.iterdir()} == {"auth.ini", "log"}  # the server keeps nothing itself
