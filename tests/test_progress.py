"""What a training loop's meter computes and tells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from terminals import Terminal

from genbalance.progress import EpochMeter

SRC = Path(__file__).parents[1] / "src"


def test_means_are_weighted_by_images() -> None:
    meter = EpochMeter("train", epochs=1, images_per_epoch=40)
    with meter.epoch(1):
        meter.add({"loss": 1.0, "rate": torch.tensor(2.0)}, images=30)
        meter.add({"loss": 5.0, "rate": torch.tensor(4.0)}, images=10)
    assert meter.means() == {"loss": 2.0, "rate": 2.5}


def test_a_loss_that_is_told_now_and_then_is_the_mean_of_when_it_was() -> None:
    meter = EpochMeter("train", epochs=1, images_per_epoch=40)
    with meter.epoch(1):
        for step in range(4):
            meter.add({"loss": 1.0} | ({"seldom": float(step)} if step % 2 else {}), images=10)
    assert meter.means() == {"loss": 1.0, "seldom": 2.0}


def test_means_of_many_tensors_are_as_exact_as_doubles() -> None:
    meter = EpochMeter("train", epochs=1, images_per_epoch=1_000_000)
    with meter.epoch(1):
        for _ in range(10_000):
            meter.add({"loss": torch.tensor(0.1)}, images=100)
    assert meter.means()["loss"] == pytest.approx(float(torch.tensor(0.1)), rel=1e-7)


def test_each_epoch_starts_anew_and_takes_its_speed() -> None:
    meter = EpochMeter("train", epochs=2, images_per_epoch=10)
    for epoch in (1, 2):
        with meter.epoch(epoch):
            meter.add({"loss": float(epoch)}, images=10)
        assert meter.means() == {"loss": float(epoch)}
        assert meter.images_per_second * meter.seconds == pytest.approx(10)


def test_no_graph_is_kept_alive_by_a_loss() -> None:
    meter = EpochMeter("train", epochs=1, images_per_epoch=10)
    weight = torch.ones((), requires_grad=True)
    with meter.epoch(1):
        meter.add({"loss": weight * 2}, images=10)
        meter.add({"loss": weight * 2}, images=10)
    assert not meter._sums["loss"].requires_grad


def test_without_a_terminal_an_epoch_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with EpochMeter("train_vae", epochs=2, images_per_epoch=10) as meter:
        for epoch in (1, 2):
            with meter.epoch(epoch):
                meter.add({"loss": 1.25}, images=10)
            meter.line({"val_loss": 1.5})
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first.startswith("train_vae 1/2: loss 1.25, val_loss 1.5, ")
    assert second.startswith("train_vae 2/2: ")
    assert second.endswith(" images/s, 0:00 left")


def test_a_training_that_goes_on_has_its_first_epochs_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 0.0, 10.0, 10.0])  # made, epoch begun and ended, told
    monkeypatch.setattr("genbalance.progress.time.monotonic", lambda: next(now))
    meter = EpochMeter("train_vae", epochs=10, images_per_epoch=10)
    with meter.epoch(8):
        meter.add({"loss": 1.25}, images=10)
    meter.line()
    assert capsys.readouterr().err == "train_vae 8/10: loss 1.25, 1 images/s, 0:20 left\n"
    monkeypatch.undo()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with EpochMeter("train_gan", epochs=4, images_per_epoch=100) as meter:
        for epoch in (3, 4):
            with meter.epoch(epoch):
                meter.add({"loss": 1.0}, images=100)
    assert "400/400" in terminal.getvalue().split("\r")[-1]


def test_on_a_terminal_a_bar_tells_losses_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with EpochMeter("train_gan", epochs=1, images_per_epoch=400) as meter:
        with meter.epoch(1):
            for _ in range(40):
                meter.add({"loss_d": 0.5, "loss_g": 0.7}, images=10)
        meter.line({"d_accuracy": 0.6})
    last = terminal.getvalue().split("\r")[-1]
    assert "train_gan 1/1: 100%" in last
    assert "400/400" in last
    assert "images/s" in last
    assert "loss_d 0.5, loss_g 0.7, d_accuracy 0.6" in last
    assert "<00:00" in last


def test_the_meter_does_not_load_torch() -> None:
    code = "import sys, genbalance.progress; print('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
