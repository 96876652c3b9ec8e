"""The curves of a training."""

import csv
import math

import pytest

from genbalance.errors import UserError
from genbalance.history import History


class Recorder:
    def __init__(self):
        self.logged = []

    def log(self, values, step=None):
        self.logged.append((step, dict(values)))


@pytest.fixture
def run():
    return Recorder()


def test_run_and_file_get_the_same_numbers_a_row_an_epoch(run, tmp_path):
    history = History(run)
    rows = [{"loss": 7 / 3, "accuracy": 0.125}, {"loss": 1.25, "accuracy": 0.5}]
    for epoch, row in enumerate(rows, start=1):
        history.add(epoch, row)
    history.save(tmp_path / "curves.csv")
    assert run.logged == [(1, {"loss": 2.33333, "accuracy": 0.125}), (2, rows[1])]
    with (tmp_path / "curves.csv").open() as file:
        read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert read == [{"epoch": epoch} | row for epoch, row in run.logged]


def test_the_best_of_a_curve_is_told_beside_its_last(run):
    history = History(run)
    for epoch, loss in enumerate((3.0, 1.0, 2.0), start=1):
        history.add(epoch, {"loss": loss, "accuracy": loss / 4})
    history.tell_best(loss=min, accuracy=max)
    assert run.logged[-1] == (None, {"best_loss": 1.0, "best_accuracy": 0.75})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_training_is_told_in_one_line_and_logged_nowhere(run, tmp_path, value):
    history = History(run)
    history.add(1, {"loss_d": 1.0, "loss_g": 2.0})
    with pytest.raises(UserError) as caught:
        history.add(2, {"loss_d": 1.0, "loss_g": value})
    text = str(caught.value)
    assert "epoch 2" in text
    assert "loss_g" in text
    assert "learning rate" in text
    assert "\n" not in text
    history.save(tmp_path / "curves.csv")
    assert len(run.logged) == 1
    assert (tmp_path / "curves.csv").read_text() == "epoch,loss_d,loss_g\n1,1,2\n"


def test_a_history_that_goes_on_has_all_rows_and_tells_the_run_the_new_ones_alone(run, tmp_path):
    history, resumed = History(run), History(run)
    history.add(1, {"loss": 1 / 3, "units": 7})
    resumed.load_state_dict(history.state_dict())
    for one in (history, resumed):
        one.add(2, {"loss": 0.25, "units": 8})
    for name, one in (("whole", history), ("resumed", resumed)):
        one.save(tmp_path / name)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert [step for step, _ in run.logged] == [1, 2, 2]
