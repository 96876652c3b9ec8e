"""Figures over classes."""

import io
import itertools

import matplotlib.colors
import matplotlib.figure
import pytest
from PIL import Image
from reported import FAMILIES

from genbalance.reporting.classes import class_distances, class_histogram
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import DARK, LIGHT, png


def test_a_class_without_real_images_leaves_a_gap_and_no_error(workspace):
    root = workspace(classes=3)
    table = root / "artifacts/evaluate_gan/classes.csv"
    head, _, *others = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, "0,0.5,0,0,0,0,0", *others]), encoding="utf-8")
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
