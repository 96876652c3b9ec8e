"""What commits cost: by their MLflow runs, on the page of a comparison and in the terminal."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from committed import PARAMS
from mlflow import MlflowClient
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments.compare import compare_groups, find_groups
from genbalance.experiments.cost import ABSENT, cost_table
from genbalance.tracking.lineage import KEY, OUT, RESTORED, key_of

STAGES = ("prepare", "train_vae", "evaluate@vae")
COMMITS = {  # β, seed and −ELBO
    **{"one": (1, 1, 100.0), "again": (1, 2, 102.0)},
    **{"two": (2, 1, 96.0), "worse": (3, 1, 101.0), "apart": (4, 1, 90.0)},
}
COUNTED = "processor: estimated; CO₂: 458 g a kWh"


def entry(stage: str, name: str) -> dict:
    """Of dvc.lock; all commits share the data."""
    md5 = f"{stage}-{'' if stage == 'prepare' else name}"
    return {"cmd": f"sh {stage}", "deps": [{"path": "d", "md5": md5}], "outs": [{"path": f"out/{stage}", "md5": md5}]}


@pytest.fixture
def client(tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Commits of three stages and a store without runs; the working directory of the test."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    stream = ""
    for name, (beta, seed, nelbo) in COMMITS.items():
        files = {
            "params.yaml": f"beta: {beta}\nseed: {seed}\nvae: {{width: 8}}\n",
            "dvc.lock": json.dumps({"schema": "2.0", "stages": {stage: entry(stage, name) for stage in STAGES}}),
            "metrics/evaluate_vae.json": json.dumps({"nelbo": nelbo, "n": 500}),
        }
        stream += f"commit refs/heads/{name}\ncommitter a <a@b> 1700000000 +0000\ndata 1\nm\ndeleteall\n"
        stream += "".join(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items())
    for arguments, text in ((["init", "-q", "-b", "one"], ""), (["fast-import", "--quiet"], stream)):
        subprocess.run(["git", *arguments], input=text, check=True, capture_output=True, text=True)
    shutil.copy(PARAMS, tmp_path)
    shutil.copy(tables, tmp_path / "mlflow.db")
    made = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    made.create_experiment("genbalance", artifact_location=(tmp_path / "mlartifacts").as_uri())
    return made


def log(client: MlflowClient, stage: str, name: str, wh: float | None, **others: str) -> str:
    """A stage's run, behind the entry of a commit; returns its id."""
    held = entry(stage, name)
    tags = {KEY: key_of(held), "energy.counted": COUNTED, **others}
    tags |= {OUT + out["path"]: out["md5"] for out in held["outs"]}
    run = client.create_run(client.get_experiment_by_name("genbalance").experiment_id, tags=tags).info.run_id
    if wh is not None:
        client.log_metric(run, "energy_wh", wh)
        client.log_metric(run, "co2_g", wh * 0.5)
    client.set_terminated(run)
    return run


def measured(client: MlflowClient, name: str, training: float) -> None:
    log(client, "train_vae", name, training)
    log(client, "evaluate@vae", name, 0.25)


def table(*names: str) -> dict[tuple[str, str], list[str]]:
    found = cost_table(compare_groups(find_groups(names), every=True))
    return {(row.name, row.unit): list(row.cells) for row in found.rows}


def test_stages_their_sum_and_the_price_of_a_nat_stand_beside_one_another(client: MlflowClient) -> None:
    log(client, "prepare", "", 0.5)
    for name, training in (("one", 2.0), ("two", 3.0), ("worse", 4.0)):
        measured(client, name, training)
    rows = table("one", "two", "worse", "apart")
    assert rows["prepare", "Wh"] == ["0.5"] * 4
    assert rows["train_vae", "Wh"] == ["2", "3", "4", "–"]
    assert rows["all stages", "Wh"] == ["2.75", "3.75", "4.75", "–"]
    assert rows["all stages", "g CO₂"] == ["1.375", "1.875", "2.375", "–"]
    assert rows["evaluate_vae", "Wh per 1,000 samples drawn and measured"] == ["0.5", "0.5", "0.5", "–"]
    assert rows["evaluate_vae.nelbo", "nats per image"] == ["100", "96", "101", "90"]
    # one Wh more for four nats; a bound that is worse has no price, nor one whose cost is not known
    assert rows["train_vae", "more Wh per nat gained over a"] == ["reference", "0.25", "–", "–"]


def test_a_group_has_the_mean_of_its_seeds(client: MlflowClient) -> None:
    for name, training in (("one", 2.0), ("again", 3.0), ("two", 4.0)):
        measured(client, name, training)
    rows = table("one,again", "two")
    assert rows["train_vae", "Wh"] == ["2.5 ± 0.71", "4"]
    assert rows["train_vae", "more Wh per nat gained over a"] == ["reference", "0.3"]  # 1.5 for 101 − 96


def test_a_commit_without_a_lock_has_no_cost_and_the_others_have_theirs(client: MlflowClient) -> None:
    measured(client, "one", 2.0)
    removed = "commit refs/heads/two\ncommitter a <a@b> 1 +0000\ndata 1\nm\nfrom refs/heads/two^0\nD dvc.lock\n"
    subprocess.run(["git", "fast-import", "--quiet"], input=removed, check=True, capture_output=True, text=True)
    assert table("one", "two")["train_vae", "Wh"] == ["2", "–"]


def test_the_run_that_made_it_counts_and_not_one_that_restored_or_repeated_it_otherwise(client: MlflowClient) -> None:
    made = log(client, "train_vae", "one", 2.0)
    log(client, "train_vae", "one", None, **{RESTORED: "true"})
    log(client, "train_vae", "one", 7.0, **{KEY: "other inputs that led to the same bytes"})
    shown = CliRunner().invoke(app, ["cost", "one"])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["stage", "Wh", "g", "CO₂", "Wh", "per", "1,000", "samples", "run"]
    assert lines[2].split() == ["train_vae", "2", "1", "–", made]
    assert lines[3].split() == ["evaluate_vae", "–", "–", "–", "–"]
    assert lines[4].split() == ["all", "–", "–"]
    assert lines[-2:] == [COUNTED, ABSENT]


def test_the_page_has_the_table_and_what_is_counted(client: MlflowClient, tmp_path: Path) -> None:
    measured(client, "one", 2.0)
    done = CliRunner().invoke(app, ["compare", "one", "two", "--all", "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    section = (tmp_path / "page.html").read_text().partition('<section id="cost"')[2]
    row = re.search(r'<th scope="row">train_vae<small>Wh</small></th>(.*?)</tr>', section, re.DOTALL)[1]
    assert re.findall(r'class="whole">(.*?)<', row) == ["2", "–"]
    assert COUNTED in section


def test_the_table_goes_to_mlflow_with_the_page(client: MlflowClient, tmp_path: Path) -> None:
    measured(client, "one", 2.0)
    done = CliRunner().invoke(app, ["compare", "one", "two", "--all", "--mlflow"])
    assert done.exit_code == 0, done.output
    (file,) = tmp_path.glob("mlartifacts/**/cost.json")
    assert {"name": "train_vae", "unit": "Wh", "cells": ["2", "–"]} in json.loads(file.read_text())["rows"]


def test_without_a_store_or_a_measurement_the_page_says_nothing_of_it(client: MlflowClient, tmp_path: Path) -> None:
    comparison = compare_groups(find_groups(["one", "two"]), every=True)
    assert cost_table(comparison) is None
    (tmp_path / "mlflow.db").unlink()
    assert cost_table(comparison) is None
    assert not (tmp_path / "mlflow.db").exists()


def test_a_store_that_cannot_be_used_keeps_no_page_from_being_written(client, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    found = cost_table(compare_groups(find_groups(["one", "two"]), every=True))
    assert found.rows == ()
    assert found.notes[0].startswith("Not known: ")
