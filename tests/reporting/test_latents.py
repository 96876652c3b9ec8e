"""The map of the codes."""

import matplotlib.figure
import pytest
from reported import FAMILIES

from genbalance.reporting.latents import code_map
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import DARK, LIGHT

VAE = FAMILIES["vae"]


def panel(root, theme):
    figure = matplotlib.figure.Figure()
    code_map(read_results(root, FAMILIES), VAE, conditional=False).draw(figure, theme)
    return figure.axes[0]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_each_class_is_drawn_once_with_its_codes_and_named_in_their_middle(finished, theme):
    shown = panel(finished, theme)
    table = read_results(finished, FAMILIES).tables["evaluate_vae/codes"]
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
    assert "Each dot is" in code_map(read_results(root, FAMILIES), VAE, conditional=False).caption


def test_of_a_conditional_model_the_map_says_what_its_codes_need_not_hold(finished):
    results = read_results(finished, FAMILIES)
    assert "E[z|x, y]" in code_map(results, VAE, conditional=True).caption
    assert "conditioned on the class" in code_map(results, VAE, conditional=True).caption
    assert "conditioned on the class" not in code_map(results, VAE, conditional=False).caption
