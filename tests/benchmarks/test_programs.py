"""Stages timed as programs."""

from pathlib import Path

import pytest

from genbalance.runtime.errors import UserError

ROOT = Path(__file__).parents[2]


def test_a_program_s_course_adds_up(load):
    told = load("programs").course(20.0, [(10.0, 50.0), (13.0, 100.0), (15.0, 100.0)], 100, 7.0)
    assert told.training == 2 + 1 + 1
    assert told.an_epoch == 1.5  # of 2 and 1
    assert told.fixed + 3 * told.an_epoch + told.training == told.seconds == 20
    assert (told.images_per_second, told.peak_mib) == (100, 7)


@pytest.fixture
def project(load, tmp_path, monkeypatch):
    """A project whose one stage is the program that is given."""
    folder = tmp_path / "project"
    for name in ("src", "stages"):
        (folder / name).mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    (folder / "params.yaml").write_text("vae:\n  epochs: 50 # passes\n  kl_epochs: 7\n")
    monkeypatch.setattr(load("programs"), "ROOT", folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    return lambda program: (folder / "stages" / "train_vae.py").write_text(f"import os, sys\n{program}\n")


def test_a_stage_runs_as_a_program_in_a_folder_of_its_own(load, project, tmp_path):
    project("""
assert "epochs: 2 #" in open("params.yaml").read() and "kl_epochs: 7" in open("params.yaml").read()
assert os.environ["DVC_ROOT"] == os.getcwd() and "MLFLOW_TRACKING_URI" not in os.environ
for epoch in ("1/2: loss 3, 400", "2/2: loss 2, 100"):
    print(f"train_vae {epoch} images/s, 0:00 left", file=sys.stderr, flush=True)
""")
    (tmp_path / "run").mkdir()
    told = load("programs").ran(tmp_path / "run", "vae", 2, 100)
    assert told.training == 1.25
    assert told.images_per_second == 250
    assert told.seconds > 0
    assert told.peak_mib > 1


def test_a_stage_that_fails_is_told_in_one_line(load, project, tmp_path):
    project("sys.exit('train_vae: no digits')")
    with pytest.raises(UserError, match=r"\Atrain_vae fails: train_vae: no digits\Z"):
        load("programs").ran(tmp_path, "vae", 2, 100)


def test_all_of_mnist_is_reckoned_from_what_a_few_epochs_took(load, params):
    course = load("programs").Course(20.0, 4.0, 1.5, 11.5, 100.0, 500.0)
    told = load("overhead").on_mnist("vae", params, course, 784)
    beside, trains = 11.5 + 1.5 * params.vae.epochs, params.vae.epochs * 54_000 // 128 * 128 / 100
    assert told["beside_s"] == beside
    assert told["share_beside"] == pytest.approx(beside / (beside + trains), rel=1e-2)
    assert told["peak_mib"] > 500
