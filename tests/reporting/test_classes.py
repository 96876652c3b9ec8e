"""Figures over classes."""

import io
import itertools

import matplotlib.colors
import matplotlib.figure
import pytest
from PIL import Image
from reported import FAMILIES

from genbalance.reporting.classes import class_distances, class_histogram, confusion, extremes
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import DARK, LIGHT, png


def test_a_class_without_real_images_leaves_a_gap_and_no_error(workspace):
    root = workspace(classes=3)
    table = root / "artifacts/evaluate_gan/classes.csv"
    head, _, *others = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, "0,0.5,0,1,0,0,0,0,0,0,0", *others]), encoding="utf-8")
    with Image.open(io.BytesIO(png(class_distances(read_results(root, FAMILIES)), LIGHT))) as opened:
        assert opened.format == "PNG"


def test_the_distance_within_classes_is_given_in_words(finished):
    alt = class_distances(read_results(finished, FAMILIES)).alt
    assert "GAN: at most 39, for class 9; VAE: at most 39, for class 9; real images: at most 2.900" in alt


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("plot", [class_histogram, class_distances])
def test_the_bars_of_a_class_stand_side_by_side_in_the_colours_of_the_families(finished, plot, theme):
    figure = matplotlib.figure.Figure()
    plot(read_results(finished, FAMILIES)).draw(figure, theme)
    bars = figure.axes[0].containers
    assert [it.get_label() for it in bars] == [family.title for family in FAMILIES.values()]
    assert [matplotlib.colors.to_hex(it[0].get_facecolor()) for it in bars] == [*map(theme.of, FAMILIES.values())]
    ends = [(it[0].get_x(), it[0].get_x() + it[0].get_width()) for it in bars]
    assert ends[0][0] >= -0.5
    assert ends[-1][1] <= 0.5
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))


def axis_texts(plot, results):
    figure = matplotlib.figure.Figure()
    plot(results).draw(figure, LIGHT)
    panel = figure.axes[0]
    return [[text.get_text() for text in axis.get_ticklabels()] for axis in (panel.xaxis, panel.yaxis)]


def test_each_bar_has_the_name_of_its_class_and_a_long_one_is_cut(workspace):
    results = read_results(workspace(classes=3, names=("ant", "a $name$ of many words", "cat")), FAMILIES)
    for plot in (class_histogram, class_distances, confusion):
        assert axis_texts(plot, results)[0] == ["ant", "a $name$ of man…", "cat"]
    assert axis_texts(confusion, results)[1] == ["ant", "a $name$ of man…", "cat"]
    png(confusion(results), LIGHT)


def test_of_many_classes_those_at_both_ends_are_shown(workspace):
    results = read_results(workspace(classes=40), FAMILIES)
    ends = [str(label) for label in (*range(10), *range(30, 40))]
    assert axis_texts(class_distances, results)[0] == ends
    assert len(axis_texts(class_histogram, results)[0]) == 20
    assert extremes([3.0, 1, 2]) == ([0, 1, 2], "")
    rows, chosen = extremes([float(-row) for row in range(31)])
    assert rows == [*range(30, 20, -1), *range(9, -1, -1)]
    assert chosen


def test_of_many_classes_the_confusions_are_those_with_the_most_errors(workspace):
    root = workspace(classes=40)
    wrong = [(label, label - 1) for label in range(10, 35) for _ in range(40 - label)]
    right = [(label, label) for label in range(40) for _ in range(9)]
    rows = "".join(f"{actual},{predicted}\n" for actual, predicted in wrong + right)
    (root / "artifacts/train_classifier/confusion.csv").write_text(f"actual,predicted\n{rows}", encoding="utf-8")
    plot = confusion(read_results(root, FAMILIES))
    assert "20 with the most errors" in plot.caption
    assert f"{len(wrong)} of them" in plot.alt
    assert axis_texts(confusion, read_results(root, FAMILIES))[1] == [str(label) for label in range(10, 30)]


def test_without_classes_the_confusions_are_those_of_the_rotations(workspace):
    results = read_results(workspace(classes=0), FAMILIES)
    assert axis_texts(confusion, results) == [["0", "90", "180", "270"]] * 2
    assert "40 test images in 4 rotations" in confusion(results).alt
