"""The evaluation against the libraries: what is compared agrees."""

from pathlib import Path

import numpy as np
import pytest
from committed import PARAMS

from genbalance.params import read_params

ROOT = Path(__file__).parents[2]
SEED = 7


@pytest.fixture
def config():
    small = {"kid_subsets": 4, "kid_subset_size": 100, "resamples": 10}
    return read_params(PARAMS).evaluate.model_copy(update=small)


def test_ours_and_the_libraries_make_the_same_numbers(load, config):
    matches = load("matches").matches(400, config, SEED, np.float64)
    assert {match.library for match in matches} == {"torch-fidelity", "torchmetrics", "prdc"}
    for match in matches:
        assert match.difference() < 1e-6, (match.name, match.library)


def test_the_numbers_compared_are_not_about_zero(load, config):
    for match in load("matches").matches(400, config, SEED):
        assert (match.ours() > 0.01).all(), match.name


def test_a_match_is_measured_in_pairs(load, config):
    match = load("matches").matches(200, config, SEED)[0]
    record = load("evaluation").measured(match, pairs=3, threads=1)
    assert record["largest_relative_difference"] == match.difference() < 1e-5
    for name in ("ours_s", "library_s", "ratio"):
        assert 0 < record[name]["least"] <= record[name]["median"] <= record[name]["largest"], name


def test_each_call_of_the_suite_starts_anew(load, config, monkeypatch):
    evaluation, measured = load("evaluation"), []

    class Counted(evaluation.EvaluationSuite):
        def measure(self, generated):
            assert not {"test_to_train", "_reference"} & (vars(self.real).keys() | vars(self).keys())
            measured.append(super().measure(generated).metrics)

    monkeypatch.setattr(evaluation, "EvaluationSuite", Counted)
    record = evaluation.suite(200, config, SEED, repeats=2)
    assert measured[0] == measured[1]
    assert measured[0]["n"] == record["n"] == 200
    assert 0 < record["seconds"]["least"] <= record["seconds"]["largest"]
    assert 0 < record["peak_before_mib"] <= record["peak_mib"]
