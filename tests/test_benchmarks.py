"""The benchmarks on a small scale: what they compare agrees, and what they tell is what they measured."""

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from genbalance.errors import UserError
from genbalance.params import read_params

ROOT = Path(__file__).parents[1]
SEED = 7


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def knobs():
    small = {"kid_subsets": 4, "kid_subset_size": 100, "resamples": 10}
    return read_params(ROOT / "params.yaml").evaluate.model_copy(update=small)


def test_ours_and_the_libraries_make_the_same_numbers(load, knobs):
    matches = load("matches").matches(400, knobs, SEED, np.float64)
    assert {match.library for match in matches} == {"torch-fidelity", "torchmetrics", "prdc"}
    for match in matches:
        assert match.difference() < 1e-6, (match.name, match.library)


def test_the_numbers_compared_are_not_about_zero(load, knobs):
    for match in load("matches").matches(400, knobs, SEED):
        assert (match.ours() > 0.01).all(), match.name


def test_a_match_is_measured_in_pairs(load, knobs):
    match = load("matches").matches(200, knobs, SEED)[0]
    told = load("evaluation").measured(match, pairs=3, threads=1)
    assert told["largest_relative_difference"] == match.difference() < 1e-5
    for name in ("ours_s", "library_s", "ratio"):
        assert 0 < told[name]["least"] <= told[name]["median"] <= told[name]["largest"], name


def test_each_call_of_the_suite_starts_anew(load, knobs, monkeypatch):
    evaluation, measured = load("evaluation"), []

    class Counted(evaluation.Bench):
        def measure(self, generated):
            assert not {"test_to_train", "_reference"} & (vars(self.real).keys() | vars(self).keys())
            measured.append(super().measure(generated).metrics)

    monkeypatch.setattr(evaluation, "Bench", Counted)
    told = evaluation.suite(200, knobs, SEED, repeats=2)
    assert measured[0] == measured[1]
    assert measured[0]["n"] == told["n"] == 200
    assert 0 < told["seconds"]["least"] <= told["seconds"]["largest"]
    assert 0 < told["peak_before_mib"] <= told["peak_mib"]


def test_the_two_sides_take_turns_and_the_ratio_is_that_of_each_pair(load):
    calls = []
    ours, reference = iter([1.0, 2.0, 4.0]), iter([3.0, 2.0, 16.0])
    pairs = load("pairs").in_turn(
        lambda: calls.append("ours") or next(ours), lambda: calls.append("reference") or next(reference), 3
    )
    assert calls == ["ours", "reference"] * 3
    assert f"{pairs.speedup:.1f}" == "3.0 (1.0 … 4.0)"


def test_results_stand_beside_those_of_the_other_benchmarks(load, tmp_path):
    record, path = load("results").record, tmp_path / "new" / "results.json"
    record("training", {"ratio": 1.0}, path)
    record("evaluation", {"n": 3}, path)
    record("training", {"ratio": 2.0}, path)
    told = json.loads(path.read_text())
    assert (told["training"]["ratio"], told["evaluation"]["n"]) == (2.0, 3)
    assert told["training"]["machine"]["threads"] == torch.get_num_threads()


def test_columns_are_as_wide_as_their_widest_cell(load):
    assert load("results").table([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"


def test_training_lowers_the_bound_that_is_timed(load):
    likelihood, bounds = load("likelihood"), load("bounds")
    digits = (torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    found = []
    for steps in (0, 40):
        model, config = likelihood.trained(digits, SEED, steps)
        ours = bounds.Ours(model, digits, 5, torch.Generator().manual_seed(1))
        assert ours() > 0
        assert ours.nll.shape == (64,)
        found.append(ours.nll.mean())
    assert config["size"] == 8
    assert found[1] < 0.7 * found[0]


def test_agreement_is_the_mean_difference_and_its_standard_error(load):
    ours = np.array([1.0, 2.0, 3.0, 6.0])
    assert load("bounds").agreement(ours, np.zeros(4)) == pytest.approx((3.0, np.sqrt(14 / 3 / 4)))


@pytest.fixture
def no_index(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_pythaes_environment_sees_the_projects_packages_and_is_made_once(load, no_index, tmp_path):
    nothing = tmp_path / "requirements.txt"
    nothing.write_text("# nothing\n")
    interpreter = load("pythae_environment").interpreter
    python = interpreter(tmp_path / "environment", nothing)
    code = "import safetensors, sys; print(sys.prefix)"
    told = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == str(tmp_path / "environment")
    kept = tmp_path / "environment" / "kept"
    kept.touch()
    assert interpreter(tmp_path / "environment", nothing) == python
    assert kept.exists()
    nothing.write_text("# something else\n")
    interpreter(tmp_path / "environment", nothing)
    assert not kept.exists()


def test_without_an_index_the_likelihood_is_left_out_in_one_line(load, no_index, tmp_path, monkeypatch, capsys):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    likelihood = load("likelihood")
    monkeypatch.setattr(likelihood, "set_up", lambda *_: torch.device("cpu"))
    likelihood.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("likelihood: left out: pip cannot install pythae: ")
    assert json.loads(Path(".bench/results.json").read_text())["likelihood"]["left_out"] in line


def test_a_failure_of_pythae_is_told_in_one_line(load, tmp_path):
    bounds = load("bounds")
    python = Path(shutil.which("false"))
    with pytest.raises(UserError, match=r"\Apythae fails"):
        bounds.Pythae(python, tmp_path / "w", tmp_path / "x", 1, 1)()
