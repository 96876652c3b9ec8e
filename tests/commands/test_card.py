"""What a model's card says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from committed import committed

from genbalance.commands.card import card
from genbalance.data.prepared import Prepared, Split
from genbalance.locks import parse_lock
from genbalance.params import flatten

ROOT = Path(__file__).parents[2]
ROOM = 5000  # characters, in MLflow's table of versions


def split(n: int) -> Split:
    return Split(np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.int64))


@pytest.fixture(params=["gan", "vae"])
def told(request: pytest.FixtureRequest) -> tuple[str, str, dict, dict]:
    """A kind, its card, its params and its metrics, of this repository's run."""
    kind = request.param
    metrics = json.loads(committed(f"metrics/evaluate_{kind}.json"))
    lock = parse_lock(committed("dvc.lock"), "dvc.lock")
    params = flatten(lock[f"train_{kind}"]["params"]["params.yaml"])
    digits = Prepared(split(3600), split(400), split(1000), "bundled", "MNIST, a few", 10, 0.1, 0.3)
    return kind, card(kind, f"genbalance-{kind}", digits, params, metrics, "0123abcd-dirty", "f" * 32), params, metrics


def test_a_card_has_room_in_the_registry(told: tuple) -> None:
    assert len(told[1]) < 0.7 * ROOM


def test_a_card_tells_what_it_is_data_params_metrics_limits_and_origin(told: tuple) -> None:
    kind, text, params, _ = told
    titles = re.findall("^## (.+)$", text, re.MULTILINE)
    assert titles == ["What it is", "Data", "Params", "Metrics", "Limits", "Requests", "Source"]
    assert "3,600 train, 400 val, 1,000 test; 10 classes of 28 × 28 grey pixels" in text
    coefficient = {"gan": "lambda", "vae": "beta"}[kind]
    assert f"`{coefficient}={params[coefficient]}`" in text
    assert "Commit 0123abcd-dirty, weights of md5 " + "f" * 32 in text
    assert "Privacy: samples may copy training digits" in text
    assert "Fairness: classes are not sampled equally" in text


@pytest.mark.parametrize("key", ["fd_test", "recall", "authenticity"])
def test_a_metric_stands_beside_its_spread_and_what_real_digits_get(told: tuple, key: str) -> None:
    _, text, _, metrics = told
    spread, real = metrics["ci95"][key], metrics["fd_floor" if key == "fd_test" else f"{key}_real"]
    assert f"| {metrics[key]:.4g} ({spread['low']:.4g} … {spread['high']:.4g}) | {real:.4g} |" in text
