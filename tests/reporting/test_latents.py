"""The map of the codes."""

import matplotlib.figure
import pytest

from genbalance.reporting.latents import DARK_INKS, LIGHT_INKS, code_map
from genbalance.reporting.results import read_results
from genbalance.reporting.style import DARK, LIGHT


def panel(root, theme):
    figure = matplotlib.figure.Figure()
    code_map(read_results(root), conditional=False).draw(figure, theme)
    return figure.axes[0]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_each_class_is_drawn_once_with_its_codes_and_named_in_their_middle(finished, theme):
    shown = panel(finished, theme)
    table = read_results(finished).tables["evaluate_vae/codes"]
    assert len(shown.collections) == 10
    for label, points in enumerate(shown.collections):
        own = [place for place, of in enumerate(table["class"]) if of == label]
        assert points.get_offsets().tolist() == [[table["x"][place], table["y"][place]] for place in own]
        middle = points.get_offsets().mean(axis=0).tolist()
        assert shown.texts[label].get_text() == str(label)
        assert shown.texts[label].get_position() == pytest.approx(middle)
    assert shown.get_xlabel()
    assert shown.get_ylabel()


def test_many_classes_are_dots_with_a_number_in_the_middle_of_each(workspace):
    root = workspace(classes=30)
    shown = panel(root, LIGHT)
    assert len(shown.collections) == 30
    assert [text.get_text() for text in shown.texts] == [str(label) for label in range(30)]
    assert "Each dot is" in code_map(read_results(root), conditional=False).caption


def test_of_a_conditional_model_the_map_says_what_its_codes_need_not_tell(finished):
    results = read_results(finished)
    assert "E[z|x, y]" in code_map(results, conditional=True).caption
    assert "conditioned on the class" in code_map(results, conditional=True).caption
    assert "conditioned on the class" not in code_map(results, conditional=False).caption


def luminance(ink):
    """Relative luminance of #rrggbb, WCAG 2.1."""
    levels = [int(ink[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return sum(weight * level for weight, level in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(("theme", "inks"), [(LIGHT, LIGHT_INKS), (DARK, DARK_INKS)])
def test_inks_differ_and_stand_out_from_the_paper(theme, inks):
    """Three to one (WCAG 2.1, 1.4.11); the digits need no colour to be told apart."""
    assert len(set(inks)) == 10
    paper = luminance(theme.paper)
    for ink in inks:
        low, high = sorted([luminance(ink), paper])
        assert (high + 0.05) / (low + 0.05) > 3
