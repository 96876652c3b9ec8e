"""What every training repeats: curves and grids, the same in the run and on disk, also after a kill."""

import csv
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from genbalance.data import pictures
from genbalance.runtime.errors import UserError
from genbalance.training.epochs import Epochs, Trained

PARAMS = SimpleNamespace(checkpoint=SimpleNamespace(seconds=0.0))


class Run:
    run_id = "run-1"

    def __init__(self, key=""):
        self.key = key
        self.logged, self.images, self.tags = [], [], {}

    def log(self, values, step=None):
        self.logged.append((step, dict(values)))

    def image(self, key, image, step):
        self.images.append((key, step))

    def tag(self, tags):
        self.tags |= tags

    def flush(self):
        pass

    def rows(self):
        return [(step, values) for step, values in self.logged if step and "images_per_second" not in values]


@pytest.fixture(autouse=True)
def _repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def epochs_of(run, count=2):
    return Epochs("toy", PARAMS, run, count, 4, 2, {"loss": "loss"}, "a smaller learning rate")


def picture(shade):
    return np.full((4, 5), shade, dtype=np.uint8)


def png(shade, tmp_path):
    pictures.save_png(tmp_path / "direct.png", picture(shade))
    return (tmp_path / "direct.png").read_bytes()


def test_run_and_file_get_the_same_numbers_a_row_an_epoch(tmp_path):
    run, rows = Run(), [{"loss": 7 / 3, "accuracy": 0.125}, {"loss": 1.25, "accuracy": 0.5}]
    with epochs_of(run) as epochs:
        for epoch in epochs:
            epochs.log(rows[epoch - 1], {"norm": 1.0})
        curves = epochs.curves
    assert run.rows() == [(1, {"loss": 2.33333, "accuracy": 0.125}), (2, rows[1])]
    assert [values["norm"] for _, values in run.logged if "norm" in values] == [1.0, 1.0]
    Trained({}, {}, {}, curves).save(tmp_path / "weights", tmp_path / "out")
    with (tmp_path / "out" / "curves.csv").open() as file:
        read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert read == [{"epoch": epoch} | row for epoch, row in run.rows()]


def test_the_best_of_a_curve_is_logged_beside_its_last():
    run = Run()
    with epochs_of(run, 3) as epochs:
        for epoch in epochs:
            loss = (3.0, 1.0, 2.0)[epoch - 1]
            epochs.log({"loss": loss, "accuracy": loss / 4})
        epochs.log_best(loss=min, accuracy=max)
    assert run.logged[-1] == (None, {"best_loss": 1.0, "best_accuracy": 0.75})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_epoch_is_one_line_and_logged_nowhere(value):
    run = Run()
    with epochs_of(run) as epochs:
        numbers = iter(epochs)
        next(numbers)
        epochs.log({"loss_d": 1.0, "loss_g": 2.0})
        next(numbers)
        with pytest.raises(UserError, match=r"^epoch 2: loss_g is .*: the training has diverged; try a smaller learn"):
            epochs.log({"loss_d": 1.0, "loss_g": value})
    assert len(run.rows()) == len(epochs.curves) == 1


def test_a_training_that_diverges_and_one_that_raises_an_alarm_tag_their_runs(capsys):
    def run_through(epochs, **row):
        with epochs:
            for _ in epochs:
                epochs.log(row)

    run = Run()
    with pytest.raises(UserError, match="has diverged") as error:
        run_through(epochs_of(run), loss=math.nan)
    assert run.tags == {"alarm.divergence": str(error.value)}

    run = Run("c" * 64)
    epochs = epochs_of(run, 6)
    run_through(epochs, val_rate=0.0)
    sentence = epochs.alarms["alarms"]["posterior_collapse"]
    assert run.tags == {"alarm.posterior_collapse": sentence}
    assert sentence.startswith("epoch 5: posterior collapse: the latents carry 0 nats")
    assert capsys.readouterr().err.count(f"toy: warning: {sentence}") == 1


def test_a_training_that_resumes_has_all_rows_and_grids_and_logs_the_new_ones_alone(tmp_path):
    def run_through(run, killed_in=None):
        with epochs_of(run, 3) as epochs:
            for epoch in epochs:
                epochs.log({"loss": 1 / epoch, "units": epoch})
                epochs.log_images(samples=picture(epoch), pairs=picture(10 * epoch))
                if epoch == killed_in:
                    return None
            return epochs.curves, epochs.grids()

    whole, resumed = Run(), Run("a" * 64)
    curves, grids = run_through(whole)
    assert run_through(Run("a" * 64), killed_in=3) is None
    again_curves, again_grids = run_through(resumed)
    pd.testing.assert_frame_equal(again_curves, curves)
    assert again_grids == grids
    assert [step for step, _ in resumed.rows()] == [3]
    assert resumed.images == [("samples", 3), ("pairs", 3)]
    assert grids["pairs"][2] == png(20, tmp_path)


def test_an_epoch_that_is_repeated_replaces_its_grid(tmp_path):
    with epochs_of(Run()) as epochs:
        next(iter(epochs))
        for shade in (1, 2):
            epochs.log_images(samples=picture(shade))
        assert epochs.grids() == {"samples": {1: png(2, tmp_path)}}


def test_the_untrained_network_is_step_0_and_drawn_before_the_first_epoch_alone():
    run, drawn = Run(), []
    with epochs_of(run, 3) as epochs:
        for _ in epochs:
            epochs.log_untrained(lambda: drawn.append(1) or {"samples": picture(0)})
    assert run.images == [("samples", 0)]
    assert drawn == [1]


def test_what_was_trained_is_saved_whole_with_the_grids_of_the_kept_epoch_beside_the_metrics(tmp_path):
    table = pd.DataFrame({"latent": [0], "kl": [1 / 3]})
    grids = {"samples": {1: png(1, tmp_path), 2: png(2, tmp_path)}}
    result = Trained({"a": 1}, {"w": torch.ones(1)}, {}, pd.DataFrame([{"epoch": 1}]), {"kl": table}, grids, 1)
    out, kept = tmp_path / "artifacts" / "toy", tmp_path / "metrics" / "toy_samples.png"
    files = result.save(tmp_path / "models" / "toy.safetensors", out, tmp_path / "metrics" / "toy")
    assert files == [out / "curves.csv", out / "kl.csv", kept]
    assert kept.read_bytes() == grids["samples"][1]
    assert (out / "samples" / "epoch_0002.png").read_bytes() == grids["samples"][2]
    assert (out / "kl.csv").read_text() == "latent,kl\n0,0.333333\n"
    assert (tmp_path / "models" / "toy.safetensors").exists()
