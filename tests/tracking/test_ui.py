"""`genbalance ui`: a server and its end, or the address at another; and the shared view, a tag of the experiment."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from committed import PARAMS
from mlflow import MlflowClient
from signals import hears_all
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.families.registry import DISCRIMINATOR, ENCODER, Family, known
from genbalance.params import read_params
from genbalance.reporting.headline import headline_pictures, headline_places
from genbalance.runtime.errors import UserError
from genbalance.tracking import ui
from genbalance.tracking.address import sqlite_address
from genbalance.tracking.store import reach
from genbalance.tracking.ui import TAG, serve, view

FAMILIES = [known()[name] for name in read_params(PARAMS).families.names]
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def screenless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_ctrl_c_ends_the_server_that_it_started(repo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "genbalance", "ui", "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_all,
    )
    address = process.stdout.readline().strip()
    base, _, place = address.partition("/#/")
    with urllib.request.urlopen(f"{base}/health") as answer:  # it answers as soon as the address is printed
        assert answer.status == 200
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genbalance")  # made by the command
    assert experiment.tags[TAG] == view(FAMILIES)
    key = TAG.rpartition(".")[2]
    ours = f"experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={key}"
    assert place == ours
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "MLflow's server is starting; Ctrl-C ends it\n")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{base}/health")


def test_the_address_of_a_server_elsewhere_is_printed_and_none_is_started(
    server, empty_repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url.replace("//", "//user:secret@"))
    monkeypatch.setattr("genbalance.tracking.ui.psutil.Popen", None)
    printed = CliRunner().invoke(app, ["ui"]).stdout
    assert re.fullmatch(rf"{server.url}/#/experiments/\d+/runs\?\S+\n", printed)


def test_a_port_that_is_taken_is_an_error_in_a_line(repo: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port: {port} cannot be used .*; give another, or 0 for any"):
            serve(sqlite_address(repo / "mlflow.db"), "1", port, print)


def test_a_server_that_does_not_start_says_why(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbalance.tracking.ui.sys.executable", "false")
    with pytest.raises(UserError, match="mlflow server: did not start; it said: nothing"):
        serve(sqlite_address(repo / "mlflow.db"), "1", 0, print)


@pytest.fixture
def tags(repo: Path):
    """The tags of the experiment, as they are once it has been opened with the tag given."""

    def opened(before: str | None) -> dict[str, str]:
        client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
        if before is not None:
            client.create_experiment("mine", tags={TAG: before} if before else {})
        reach("mine")
        return client.get_experiment_by_name("mine").tags

    return opened


def changed(**values: object) -> str:
    return json.dumps(json.loads(view(FAMILIES)) | values)


def test_a_new_experiment_has_the_view_and_a_description(tags) -> None:
    new = tags(None)
    assert new[TAG] == view(FAMILIES)
    assert "What does λ do in a GAN" in new["mlflow.note.content"]
    assert "what does β do in a VAE" in new["mlflow.note.content"]


@pytest.mark.parametrize("before", ["", "nonsense", "[]", "{}", changed(updatedAt=ui.CHANGED - 1), view(FAMILIES[:1])])
def test_an_experiment_without_the_view_or_with_another_one_of_ours_gets_it(tags, before: str) -> None:
    assert tags(before)[TAG] == view(FAMILIES)


def test_a_view_that_somebody_changed_stays(tags) -> None:
    theirs = changed(updatedAt=ui.CHANGED + 1, state="{}")
    assert tags(theirs)[TAG] == theirs


def state(*families: Family) -> dict:
    return json.loads(json.loads(view(families))["state"])


def axes(*families: Family) -> set[tuple[str, str]]:
    charts = [chart for chart in state(*families)["compareRunCharts"] if "xaxis" in chart]
    return {(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in charts}


def images(*families: Family) -> set[str]:
    charts = [chart for chart in state(*families)["compareRunCharts"] if chart["type"] == "IMAGE"]
    return {key.removeprefix("grids/") for chart in charts for key in chart["imageKeys"]}


def test_the_view_names_what_pipeline_runs_have() -> None:
    headline = headline_places(FAMILIES).keys()
    assert set(ui.view_metrics(FAMILIES)) <= headline
    assert images(*FAMILIES) == headline_pictures(FAMILIES).keys()
    coefficients = {key for family in FAMILIES for key in family.coefficients}
    assert {key for pair in axes(*FAMILIES) for key in pair} <= {*headline, *coefficients}
    sections = {section["uuid"] for section in state(*FAMILIES)["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state(*FAMILIES)["compareRunCharts"]} == sections
    assert not [name for name in headline if name.endswith(("_floor", "_ceiling", "_real"))]


def test_the_view_and_the_description_have_each_family_by_its_record() -> None:
    """One more that has two coefficients, an encoder and no likelihood."""
    more = replace(FAMILIES[0], name="more", title="MORE", coefficients=("lambda", "beta"),
                   parts=frozenset({ENCODER, DISCRIMINATOR}))  # fmt: skip
    assert axes(*FAMILIES, more) - axes(*FAMILIES) == {("lambda", "more_fd_test"), ("beta", "more_fd_test")}
    assert images(*FAMILIES, more) - images(*FAMILIES) == {"more_samples", "more_reconstructions"}
    columns = {*state(*FAMILIES, more)["selectedColumns"]} - {*state(*FAMILIES)["selectedColumns"]}
    assert columns == {"metrics.`more_fd_test`", "metrics.`more_recall`", "metrics.`more_rate`"}
    text = ui.experiment_tags([*FAMILIES, more])["mlflow.note.content"]
    assert f", and what do λ and β do in a MORE trained on {more.objective}?" in text
    assert "`train_more` begin with" in text
