"""`genbalance sweep show --metric A --metric B`: runs by two metrics, printed, drawn, and kept for the report."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments import front
from genbalance.experiments.front import find_front, parse_metric
from genbalance.experiments.runs import Run
from genbalance.reporting.front import Metric, read_front
from genbalance.runtime.errors import UserError
from genbalance.tracking.lineage import StageRun

RATE, FD = "evaluate_vae.rate", "evaluate_vae.fd_test"


def run(name, beta, seed, rate, distance, **params):
    own = {"beta": beta, "vae.width": 16} | params
    return Run(name, "c" * 40, seed, own, {RATE: rate, FD: distance}, {})


RUNS = [run("a-1", 4.0, 1, 5.0, 9.0), run("a-2", 1.0, 2, 9.0, 4.0), run("a-3", 2.0, 1, 9.5, 6.0)]


@pytest.fixture(autouse=True)
def _experiments(monkeypatch):
    monkeypatch.setattr(front, "find_runs", lambda text: RUNS)


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("evaluate_vae.fd_test", Metric("evaluate_vae.fd_test", maximise=False)),
        ("evaluate_gan.recall", Metric("evaluate_gan.recall", maximise=True)),
        ("evaluate_gan.recall:min", Metric("evaluate_gan.recall", maximise=False)),
        ("evaluate_vae.rate:max", Metric("evaluate_vae.rate", maximise=True)),
    ],
)
def test_a_metric_has_its_better_direction(text, metric):
    assert parse_metric(text) == metric
    assert parse_metric(str(metric)) == metric


@pytest.mark.parametrize("text", ["evaluate_vae.rate", "evaluate_vae.fd_test:up", "train_vae.loss"])
def test_a_metric_without_a_better_direction_asks_for_one(text):
    with pytest.raises(UserError, match=r"which direction is better\? allowed: .*:min or .*:max"):
        parse_metric(text)


def test_params_are_parted_into_those_that_differ_over_the_runs_and_those_that_do_not():
    found = find_front("a-*", [f"{RATE}:min", FD])
    assert found.shared == {"vae.width": 16}
    assert [point.settings for point in found.points] == [
        {"beta": 4.0, "seed": 1},
        {"beta": 1.0, "seed": 2},
        {"beta": 2.0, "seed": 1},
    ]
    assert found.labels == ("VAE: rate [nats]", "VAE: Fréchet distance")
    assert found.best == (True, True, False)


def test_a_param_that_a_run_has_not_is_none_of_its_settings(monkeypatch):
    monkeypatch.setattr(front, "find_runs", lambda text: [RUNS[0], run("b", 4.0, 1, 1.0, 1.0, **{"vae.depth": 3})])
    assert [point.settings for point in find_front("", [f"{RATE}:min", FD]).points] == [{}, {"vae.depth": 3}]


def test_the_command_prints_the_front_first_and_writes_both_files(tmp_path):
    picture, file = tmp_path / "a/front.png", tmp_path / "metrics/sweeps/front.json"
    options = ["--metric", f"{RATE}:min", "--metric", FD, "--figure", str(picture), "--json", str(file)]
    result = CliRunner().invoke(app, ["sweep", "show", "a-*", *options])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "run    beta  seed  evaluate_vae.rate  evaluate_vae.fd_test",
        "a-1 *   4.0     1                  5                     9",
        "a-2 *   1.0     2                  9                     4",
        "a-3     2.0     1                9.5                     6",
        "",
        "* The Pareto front of evaluate_vae.rate (lower is better), evaluate_vae.fd_test (lower is better)",
        "",
        f"Written: {picture}, {file}",
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert read_front(file) == replace(find_front("a-*", [f"{RATE}:min", FD]), name="front")
    assert json.loads(file.read_text())["front"] == [f"{RATE}:min", f"{FD}:min"]


def stage_run(seconds, same_inputs=True, restored=False):
    return StageRun("id", "", "FINISHED", datetime.now(UTC), same_inputs, restored, {}, "", seconds)


def test_minutes_are_those_of_the_newest_run_that_made_the_results(monkeypatch):
    made = {
        "a-1": [stage_run(None), stage_run(6.0, same_inputs=False), stage_run(0.1, restored=True), stage_run(90.0),
                stage_run(30.0)],
        "a-2": [stage_run(600.0)],
        "a-3": [stage_run(None)],
    }  # fmt: skip
    monkeypatch.setattr(front, "reach", lambda experiment, change: "store")
    monkeypatch.setattr(front, "lock_of", lambda commit, name: {"train_vae": {"name": name}, "evaluate@vae": {}})
    monkeypatch.setattr(front, "runs_behind", lambda store, entry: made[entry["name"]])
    with pytest.raises(UserError, match=r"a-\*: minutes.train_vae: not measured with its own params by a-3"):
        find_front("a-*", ["minutes.train_vae", FD])
    monkeypatch.setattr(front, "find_runs", lambda text: RUNS[:2])
    found = find_front("a-*", ["minutes.train_vae", FD])
    assert [point.values for point in found.points] == [(1.5, 9.0), (10.0, 4.0)]
    assert found.labels[0] == "minutes of train_vae"
    assert [family.name for family in found.families] == ["vae"]
    assert parse_metric("minutes.train_vae:max").maximise
    with pytest.raises(UserError, match=r"minutes.train_gan: not measured"):
        find_front("a-*", ["minutes.train_gan", FD])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([FD], f"--metric: found {FD}; allowed: two metrics"),
        ([FD, FD], f"--metric: found {FD}, {FD}; allowed: two metrics"),
        ([FD, f"{RATE}:min", "evaluate_vae.mse"], "--metric: found .*; allowed: two metrics"),
        ([FD, RATE], f"--metric {RATE}: which direction is better"),
        ([FD, "evaluate_gan.recall"], r"a-\*: evaluate_gan.recall: not measured .* by a-1 and 2 others"),
    ],
)
def test_what_is_no_front_is_refused_in_one_line(metrics, message):
    with pytest.raises(UserError, match=message) as caught:
        find_front("a-*", metrics)
    assert "\n" not in str(caught.value)
