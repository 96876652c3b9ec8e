"""What a training loop's meter computes and tells."""

import importlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from terminals import screen

from genbalance.training.checkpoint import Checkpoint
from genbalance.training.progress import EpochMeter

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"


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


def test_meters_that_have_counted_other_steps_come_to_the_means_of_all() -> None:
    steps = [({"loss": 1.0, "seldom": 4.0}, 10), ({"loss": 2.0}, 20), ({"loss": 6.0}, 5)]
    whole, *parts = (EpochMeter("train", epochs=1, images_per_epoch=35) for _ in range(3))
    for meter, its in ((whole, steps), (parts[0], steps[::2]), (parts[1], steps[1:2])):
        with meter.epoch(1):
            for losses, images in its:
                meter.add(losses, images)
    every = [meter.counted() for meter in parts]
    for meter in parts:
        meter.recount(every)
        assert meter.means() == whole.means()
        assert meter.images_per_second * meter.seconds == pytest.approx(35)


def test_an_epoch_in_parts_has_the_means_and_the_time_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr("genbalance.training.progress.time.monotonic", lambda: seconds)
    meter = EpochMeter("train", epochs=2, images_per_epoch=40)
    for epoch in (1, 2):
        for loss, images in ((1.0, 30), (5.0, 10)):
            with meter.epoch(epoch):
                meter.add({"loss": loss}, images=images)
                seconds += 4.0
            seconds += 100.0
        assert meter.means() == {"loss": 2.0}
        assert (meter.seconds, meter.images_per_second) == (8.0, 5.0)


def test_no_graph_is_kept_alive_by_a_loss() -> None:
    meter = EpochMeter("train", epochs=1, images_per_epoch=10)
    weight = torch.ones((), requires_grad=True)
    with meter.epoch(1):
        meter.add({"loss": weight * 2}, images=10)
        meter.add({"loss": weight * 2}, images=10)
    assert not meter._sums["loss"].requires_grad


SHOWN = {"val loss": "val_loss", "KL": "rate"}


def test_without_a_terminal_an_epoch_is_a_line_of_the_same_five_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with EpochMeter("train_vae", 10, images_per_epoch=10, shown=SHOWN) as meter:
        for epoch, order in ((1, 1), (2, -1)):
            with meter.epoch(epoch):
                meter.add(dict([("loss", 1.25), ("rate", 20.0), ("grad_norm", 3.0)][::order]), images=10)
            meter.line(dict([("val_loss", 101.25 + epoch), ("val_rate", 5.0)][::order]))
    told = capsys.readouterr()
    assert told.out == ""
    lines = [re.sub(r"[\d,]+ images/s  \d:\d\d left", "N images/s  N left", line) for line in told.err.splitlines()]
    assert lines == [
        "train_vae  1/10  val loss 102.2  KL 20.00  N images/s  N left",
        "train_vae  2/10  val loss 103.2  KL 20.00  N images/s  N left",
    ]


def test_time_left_counts_what_this_process_has_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0
    monkeypatch.setattr("genbalance.training.progress.time.monotonic", lambda: seconds)
    with EpochMeter("train_vae", epochs=10, images_per_epoch=10) as meter:
        with meter.epoch(8):  # resumed after epoch 7
            meter.add({"loss": 1.25}, images=10)
            seconds = 10.0
        meter.line()
    assert capsys.readouterr().err == "train_vae  8/10  1 images/s  0:20 left\n"


def trained(columns: int, stage: str, epochs: int, first: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that the bar of a stage draws on a terminal so wide, in a training at a GPU's speed with large numbers."""
    shown = shown_of(stage)
    seconds = itertools.count(0.0, 1e-3)
    monkeypatch.setattr("genbalance.training.progress.time.monotonic", lambda: next(seconds))
    with screen(columns) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        with EpochMeter(stage, epochs, images_per_epoch=4000, shown=shown) as meter:
            for epoch in range(first, epochs + 1):
                with meter.epoch(epoch):
                    for _ in range(40):
                        meter.add({"anything": 0.5}, images=100)
                meter.line(dict.fromkeys(shown.values(), 123.456))
        monkeypatch.undo()
    return terminal.drawn


def shown_of(stage: str) -> Mapping[str, str]:
    module = importlib.import_module(f"genbalance.training.{stage.removeprefix('train_')}")
    shown: Mapping[str, str] = module.SHOWN
    return shown


TRAININGS = ("train_classifier", "train_gan", "train_vae")


@pytest.mark.parametrize("stage", TRAININGS)
@pytest.mark.parametrize("columns", [30, 80, 120, 200])
def test_on_a_terminal_the_line_never_wraps(stage: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = trained(columns, stage, 24, 1, monkeypatch)
    assert max(map(len, drawn)) <= columns


@pytest.mark.parametrize("stage", TRAININGS)
def test_at_80_columns_every_field_is_there_and_at_120_a_bar_of_thirty(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [
        rf"{stage} 24/24",
        *(rf"{text} 123\.5" for text in shown_of(stage)),
        r"[\d,]+ images/s",
        "0:00 left",
    ]
    assert len(fields) <= 5
    for columns, bar in ((80, 0), (120, 30)):
        last = trained(columns, stage, 24, 23, monkeypatch)[-1]
        found = re.fullmatch("  ".join(fields) + r" *(█*)", last)
        assert found, last
        assert len(found[1]) >= bar


@pytest.mark.parametrize("first", [1, 3])
def test_the_bar_is_full_at_the_end_also_of_a_training_that_was_resumed(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = trained(120, "train_gan", 4, first, monkeypatch)
    assert len(drawn[-1]) == 119  # tqdm leaves the last column free
    texts = [line.partition(" left")[0] + " left  " for line in drawn]
    shares = [line.count("█") / (119 - len(text)) for line, text in zip(drawn, texts, strict=True)]
    assert shares[0] == pytest.approx((first - 1) / 4, abs=0.03)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_before_the_first_epoch_has_ended_its_values_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(120, "train_gan", 4, 1, monkeypatch)[0]
    assert first.startswith("train_gan 1/4  loss –  D on held-out –  – images/s  – left")


def test_a_message_of_the_checkpoint_has_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = SimpleNamespace(key="abc", run_id="1", flush=lambda: None)
    for stop in (2, None):
        with screen(120) as terminal:
            monkeypatch.setattr(sys, "stderr", terminal.stream)
            with Checkpoint("toy", run, 0.0) as checkpoint, EpochMeter("toy", 4, 100) as meter:  # type: ignore[arg-type]
                for epoch in checkpoint.epochs(4):
                    with meter.epoch(epoch):
                        meter.add({"loss": 1.0}, images=100)
                    meter.line()
                    if epoch == 3 and stop is None:
                        checkpoint._print("a word in between")
                    if epoch == stop:
                        break
            monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    resuming, word, bar, end = terminal.left
    assert (resuming, word, end) == ("toy: resuming after epoch 1", "toy: a word in between", "")
    assert bar.startswith("toy 4/4  ")


def test_the_meter_does_not_load_torch() -> None:
    code = "import sys, genbalance.training.progress; print('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
