"""What whoever waits for a measurement is told."""

import io
import itertools
import sys

import pytest
from terminals import Terminal, screen

from genbalance.evaluation import patience


def clock(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """A clock that goes on by so many seconds each time it is looked at."""
    ticks = itertools.count(0.0, step)
    monkeypatch.setattr("genbalance.evaluation.patience.time.monotonic", lambda: next(ticks))


@pytest.mark.parametrize("terminal", [True, False])
def test_every_block_comes_once_and_in_order(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    blocks = [[1, 2], [3, 4], [5]]
    assert list(patience.watched(blocks, "nll")) == blocks


def test_a_long_measurement_tells_once_a_minute_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock(monkeypatch, patience.SILENCE / 2)
    list(patience.watched([[0] * 500] * 5, "−log p(x)"))
    told = capsys.readouterr()
    assert told.out == ""
    # a block takes half a minute, 5 of them two and a half: told after the second and the fourth, and not at the end
    assert told.err.splitlines() == [
        "−log p(x): 1,000 of 2,500 images, 01:30 left",
        "−log p(x): 2,000 of 2,500 images, 00:30 left",
    ]


def test_a_short_measurement_tells_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock(monkeypatch, patience.SILENCE / 10)
    list(patience.watched([[0]] * 9, "−log p(x)"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_counts_images(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(patience.watched([[0] * 30] * 3, "−log p(x)"))
    last = terminal.getvalue().split("\r")[-1]
    assert "−log p(x): 100%" in last
    assert "90/90" in last


def test_a_measurement_that_breaks_off_ends_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for _ in patience.watched([[0] * 30] * 3, "−log p(x)"):
        break
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize(("columns", "bar"), [(80, 1), (120, 30)])
def test_the_bar_does_not_wrap_and_has_room(columns: int, bar: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(columns) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        list(patience.watched([[0] * 2500] * 4, "−log p(x)"))
        monkeypatch.undo()
    assert max(map(len, terminal.drawn)) <= columns
    assert terminal.drawn[-1].count("█") >= bar
