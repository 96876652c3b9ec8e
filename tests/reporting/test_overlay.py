"""Curves of several groups over one another."""

import matplotlib.figure
import pandas as pd
import pytest

from genbalance.reporting.overlay import PANELS, overlay
from genbalance.reporting.style import DARK, LIGHT, png


def curves(training, end, epochs=3, without=()):
    columns = [column for column in PANELS[training] if column not in without]
    return pd.DataFrame(
        {"epoch": range(1, epochs + 1)} | {c: [end * e / epochs for e in range(1, epochs + 1)] for c in columns}
    )


def drawn(plot, theme=LIGHT):
    figure = matplotlib.figure.Figure()
    plot.draw(figure, theme)
    return figure


@pytest.mark.parametrize("training", PANELS)
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_run_is_a_line_in_the_colour_of_its_group(training, theme):
    groups = {"a: one": [curves(training, 1.0), curves(training, 2.0)], "b: two": [curves(training, 4.0)]}
    figure = drawn(overlay(training, groups), theme)
    assert len(figure.axes) == len(PANELS[training])
    for panel in figure.axes:
        lines = [line for line in panel.get_lines() if len(line.get_xdata())]
        assert [list(line.get_ydata())[-1] for line in lines] == [1.0, 2.0, 4.0]
        inks = [line.get_color() for line in lines]
        assert inks[0] == inks[1] != inks[2]
        assert panel.get_ylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a: one", "b: two"]


def test_many_groups_are_told_apart_by_hue_or_dashes():
    groups = {f"{i}": [curves("train_vae", i)] for i in range(12)}
    lines = drawn(overlay("train_vae", groups)).axes[1].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12


def test_the_picture_is_told_in_words():
    groups = {
        "a: one": [curves("train_vae", 1.0), curves("train_vae", 2.0)],
        "b: two": [curves("train_vae", 4.0)],
        "c": [],
    }
    assert "val_rate ends at, on average: a: one 1.500; b: two 4." in overlay("train_vae", groups).alt


def test_what_one_run_lacks_is_not_drawn():
    groups = {"a": [curves("train_gan", 1.0)], "b": [curves("train_gan", 1.0, without=("loss_d",))]}
    assert len(drawn(overlay("train_gan", groups)).axes) == len(PANELS["train_gan"]) - 1


def test_a_name_is_no_formula_and_equal_input_gives_equal_bytes():
    plot = overlay(
        "train_vae", {r"a: $\frac$": [curves("train_vae", 1.0, epochs=1)], "b: _x": [curves("train_vae", 2.0)]}
    )
    assert png(plot, LIGHT) == png(plot, LIGHT)
