"""What a model's card says."""

import json
import re

import numpy as np
import pytest
from committed import committed

from genbalance.data.prepared import Prepared, Split
from genbalance.experiments.dvc_lock import parse_lock
from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family, known
from genbalance.params import flatten, parse_yaml
from genbalance.tracking.model_card import card

LOCK = parse_lock(committed("dvc.lock"), "dvc.lock")
SWITCHES = parse_yaml(committed("params.yaml"), "params.yaml")["families"]
FAMILIES = [family for family in known().values() if SWITCHES[family.name]]
ROOM = 5000  # characters, in MLflow's table of versions


def split(n: int) -> Split:
    return Split(np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.int64))


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def made(request: pytest.FixtureRequest) -> tuple[Family, str, dict, dict]:
    """A family, its card, its params and its metrics, of this repository's run."""
    family = request.param
    metrics = json.loads(committed(f"metrics/evaluate_{family.name}.json"))
    params = flatten(LOCK[f"train_{family.name}"]["params"]["params.yaml"])
    digits = Prepared(split(3600), split(400), split(1000), "bundled", "MNIST, a few", 10, 0.1, 0.3)
    text = card(family, f"genbalance-{family.name}", digits, params, metrics, "0123abcd-dirty", "f" * 32)
    return family, text, params, metrics


def test_a_card_has_room_in_the_registry(made: tuple) -> None:
    assert len(made[1]) < 0.7 * ROOM


def test_a_card_has_description_data_params_metrics_limits_and_origin(made: tuple) -> None:
    family, text, params, _ = made
    titles = re.findall("^## (.+)$", text, re.MULTILINE)
    assert titles == ["What it is", "Data", "Params", "Metrics", "Limits", "Requests", "Source"]
    assert "3,600 train, 400 val, 1,000 test; 10 classes of 28 × 28 grey pixels" in text
    assert f"## What it is\n\n{family.description}\n" in text
    for coefficient in family.coefficients:
        assert f"`{coefficient}={params[coefficient]}`" in text
    assert ("| −ELBO, nats per image ↓ |" in text) == (LIKELIHOOD in family.parts)
    assert "Commit 0123abcd-dirty, weights of md5 " + "f" * 32 in text
    assert "Privacy: samples may copy training images" in text
    name, share = min(made[3]["class_histogram"].items(), key=lambda item: item[1])
    assert f"Fairness: classes are not sampled equally. Least often, in {share:.1%}" in text
    assert f"of the samples, it draws class {name}. The rarest" in text


@pytest.mark.parametrize("key", ["fd_test", "recall", "authenticity"])
def test_a_metric_stands_beside_its_spread_and_what_real_digits_get(made: tuple, key: str) -> None:
    _, text, _, metrics = made
    spread, real = metrics["ci95"][key], metrics["fd_floor" if key == "fd_test" else f"{key}_real"]
    assert f"| {metrics[key]:.4g} ({spread['low']:.4g} … {spread['high']:.4g}) | {real:.4g} |" in text


@pytest.mark.parametrize("classes", [0, 1])
def test_without_classes_a_card_says_nothing_of_them(made: tuple, classes: int) -> None:
    family, _, params, metrics = made
    colour = Split(np.zeros((9, 32, 24, 3), np.uint8), np.zeros(9, np.int64))
    digits = Prepared(colour, colour, colour, "folder", "Birds", classes, 0.1, 0.3)
    bare = {key: value for key, value in metrics.items() if key not in ("classifier_score", "share_worst_to_mean")}
    text = card(family, "genbalance-x", digits, params, bare, "0123abcd", "f" * 32)
    assert "9 train, 9 val, 9 test; 32 × 24 colour pixels." in text
    assert not re.search("class(es)? |`digit`|digit.:|Fairness", text.split("## Limits")[1])
    assert '{"dataframe_records": [{"seed": 1, "count": 2}]}' in text


def test_what_some_data_alone_have_is_in_the_card_where_it_was_measured(made: tuple) -> None:
    family, text, params, metrics = made
    of_parts = {
        "bits per dimension ↓": (LIKELIHOOD, "bits_per_dim"),
        "mutual information gap (MIG) ↑": (ENCODER, "mig"),
        "separated attribute predictability (SAP) ↑": (ENCODER, "sap"),
        "DCI: disentanglement ↑": (ENCODER, "dci_disentanglement"),
        "DCI: completeness ↑": (ENCODER, "dci_completeness"),
        "DCI: informativeness ↑": (ENCODER, "dci_informativeness"),
        "FactorVAE score ↑": (ENCODER, "factor_vae_score"),
    }
    measured = {key: 0.25 + place / 100 for place, (_, key) in enumerate(of_parts.values())}
    more = metrics | measured | {"modes_covered": 940, "modes_covered_real": 1000}
    digits = Prepared(split(9), split(9), split(9), "sprites", "Sprites", 3, 0.1, 0.3)
    found = card(family, "genbalance-x", digits, params, more, "0123abcd", "f" * 32)
    for label, (part, key) in of_parts.items():
        assert (f"| {label} | {measured[key]:.4g} |  |" in found) == (part in family.parts)
        assert label not in text
    assert "| modes covered, of 1,000 ↑ | 940 | 1000 |" in found
    more["ci95"] = metrics["ci95"] | {"class_share_min": {"low": 0.0123, "high": 0.2345}}
    assert "(1.2% … 23.4%) of the samples" in card(family, "x", digits, params, more, "0123abcd", "f" * 32)
    assert "modes" not in text
    assert "anything but images like these" in found
    assert len(found) < ROOM


def test_the_attacks_on_a_family_are_in_its_card(made: tuple) -> None:
    family, _, params, metrics = made
    names = ("distance", "distance_real", "logit", "elbo")
    more = metrics | {f"membership_auc_{name}": 0.5 + place / 10 for place, name in enumerate(names)}
    others = {name: ends for name, ends in metrics["ci95"].items() if not name.startswith("membership")}
    more["ci95"] = others | {"membership_auc_distance": {"low": 0.45, "high": 0.55}}
    digits = Prepared(split(9), split(9), split(9), "bundled", "Digits", 10, 0.1, 0.3)
    text = card(family, "genbalance-x", digits, params, more, "0123abcd", "f" * 32)
    assert "| membership inference by samples, AUC, best at ½ | 0.5 (0.45 … 0.55) | 0.6 |" in text
    assert ("| membership inference by D’s logit, AUC | 0.7 |  |" in text) == (DISCRIMINATOR in family.parts)
    assert ("| membership inference by −ELBO, AUC | 0.8 |  |" in text) == (LIKELIHOOD in family.parts)
    assert len(text) < ROOM


def test_a_card_names_the_classes(made: tuple) -> None:
    family, _, params, metrics = made
    names = tuple(f"kind {label}" for label in range(30))
    digits = Prepared(split(9), split(9), split(9), "folder", "Kinds", 30, 0.1, 0.3, names)
    text = card(family, "genbalance-x", digits, params, metrics, "0123abcd", "f" * 32)
    assert "30 classes (kind 0, kind 1," in text
    assert "kind 19, …) of 28 × 28 grey pixels" in text
    assert "`digit`: 0 … 29 or a class's name" in text
    assert len(text) < ROOM


def test_a_card_says_what_a_private_training_spent_and_what_that_covers(made: tuple) -> None:
    family, plain, params, metrics = made
    digits = Prepared(split(9), split(9), split(9), "bundled", "MNIST, a few", 10, 0.1, 0.3)
    spent = {"epsilon": 9.98765, "delta": 1e-5}
    text = card(family, "genbalance-x", digits, params, metrics, "0123abcd", "f" * 32, spent)
    assert "are (ε = 9.988, δ = 1e-05)-differentially private for each training image" in text
    assert "neither the metrics and curves of the training nor the reference classifier" in text
    assert "samples may copy training images" not in text
    assert "differentially" not in plain
    assert len(text) < ROOM
