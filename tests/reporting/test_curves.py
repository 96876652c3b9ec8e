"""Training curves: a run's own, and those of several groups over one another."""

import matplotlib.figure
import pandas as pd
import pytest
from reported import FAMILIES

from genbalance.reporting.curves import PANELS, curves, overlay
from genbalance.reporting.results import read_results
from genbalance.reporting.text import number
from genbalance.reporting.theme import DARK, LIGHT, png


def table(training, end, epochs=3, without=()):
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
    groups = {"a: one": [table(training, 1.0), table(training, 2.0)], "b: two": [table(training, 4.0)]}
    figure = drawn(overlay(training, groups), theme)
    assert len(figure.axes) == len(PANELS[training])
    for panel in figure.axes:
        lines = [line for line in panel.get_lines() if len(line.get_xdata())]
        assert [list(line.get_ydata())[-1] for line in lines] == [1.0, 2.0, 4.0]
        inks = [line.get_color() for line in lines]
        assert inks[0] == inks[1] != inks[2]
        assert panel.get_ylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a: one", "b: two"]


def test_many_groups_differ_in_hue_or_dashes():
    groups = {f"{i}": [table("train_vae", i)] for i in range(12)}
    lines = drawn(overlay("train_vae", groups)).axes[1].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12


def test_the_picture_is_given_in_words():
    groups = {
        "a: one": [table("train_vae", 1.0), table("train_vae", 2.0)],
        "b: two": [table("train_vae", 4.0)],
        "c": [],
    }
    assert "val_rate ends at, on average: a: one 1.500; b: two 4." in overlay("train_vae", groups).alt


def test_what_one_run_lacks_is_not_drawn():
    groups = {"a": [table("train_gan", 1.0)], "b": [table("train_gan", 1.0, without=("loss_d",))]}
    assert len(drawn(overlay("train_gan", groups)).axes) == len(PANELS["train_gan"]) - 1


def test_a_name_is_no_formula_and_equal_input_gives_equal_bytes():
    plot = overlay(
        "train_vae", {r"a: $\frac$": [table("train_vae", 1.0, epochs=1)], "b: _x": [table("train_vae", 2.0)]}
    )
    assert png(plot, LIGHT) == png(plot, LIGHT)


def charts(root, **params):
    """The plots of a workspace's run by name."""
    return {it.name: it for it in curves(read_results(root, FAMILIES), {"gan.loss": "non_saturating"} | params)}


def test_every_chart_of_every_record_is_drawn_with_all_of_its_lines(finished):
    plots = charts(finished)
    for family in FAMILIES.values():
        for chart in family.charts:
            shown = drawn(plots[chart.name]).axes
            assert len(shown) == len(chart.panels)
            for panel, axis in zip(chart.panels, shown, strict=True):
                curved = [it for it in axis.get_lines() if len(it.get_xdata()) == 3]
                assert [it.get_label() for it in curved] == [it.label for it in panel.lines]
                assert axis.get_yscale() == ("log" if panel.log else "linear")
                assert panel.bounds in (None, axis.get_ylim())
                own = [LIGHT.of(family) if not it.ink else getattr(LIGHT, it.ink) for it in panel.lines]
                assert [it.get_color() for it in curved] == own


def test_a_coefficient_that_training_moves_is_drawn_where_there_is_a_curve_of_it(workspace):
    root = workspace()
    with_it = charts(root)
    for name, key, symbol in (("gan", "lambda", "λ"), ("vae", "beta", "β")):
        path = root / f"artifacts/train_{name}/curves.csv"
        kept = pd.read_csv(path)
        assert f"{symbol} over the epochs, which ends at {number(kept[key].iloc[-1])}." in alt_of(with_it, name)
        kept.drop(columns=key).to_csv(path, index=False)
    without = charts(root)
    for name, symbol in (("gan_losses", "λ"), ("vae_terms", "β")):
        several, fewer = drawn(with_it[name]).axes, drawn(without[name]).axes
        assert [axis.get_ylabel() for axis in several] == [*(axis.get_ylabel() for axis in fewer), symbol]
        assert "over the epochs, which" not in without[name].alt


def alt_of(plots, family):
    return plots[{"gan": "gan_losses", "vae": "vae_terms"}[family]].alt


def test_a_level_is_named_and_the_epoch_that_is_kept_is_marked(finished):
    plots = charts(finished)
    accuracy, terms = drawn(plots["gan_accuracy"]).axes[0], drawn(plots["vae_terms"]).axes
    assert [text.get_text() for text in accuracy.texts] == ["½: cannot tell"]
    assert 0.5 in [it.get_ydata()[0] for it in accuracy.get_lines() if len(it.get_xdata()) == 2]
    for panel in terms:
        assert [it.get_xdata()[0] for it in panel.get_lines() if it.get_label() == "best epoch"] == [3]
    assert "the best epoch is 3." in plots["vae_terms"].alt


@pytest.mark.parametrize(
    ("loss", "unit"),
    [
        ("non_saturating", "loss [nats]"),
        ("relativistic", "loss [nats]"),
        ("hinge", "loss"),
        ("wasserstein", "loss"),
    ],
)
def test_only_logarithms_are_nats(finished, loss, unit):
    assert drawn(charts(finished, **{"gan.loss": loss})["gan_losses"]).axes[0].get_ylabel() == unit


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_the_accuracy_of_a_critic_is_said_to_mean_little(finished, loss):
    assert "no threshold" in charts(finished, **{"gan.loss": loss})["gan_accuracy"].caption
    assert "no threshold" not in charts(finished, **{"gan.loss": "hinge"})["gan_accuracy"].caption
