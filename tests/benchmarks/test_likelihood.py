"""The likelihood's estimator against pythae's, and pythae's environment."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from committed import PARAMS

from genbalance.runtime.errors import UserError

ROOT = Path(__file__).parents[2]
SEED = 7


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
    assert config["shape"] == [1, 8, 8]
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
    shutil.copy(PARAMS, tmp_path)
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
