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


def test_without_classes_all_codes_are_dots_of_one_colour(workspace):
    root = workspace(classes=0)
    shown = panel(root, LIGHT)
    (dots,) = shown.collections
    assert len(dots.get_offsets()) == 100
    assert len(dots.get_facecolors()) == 1
    assert not shown.texts
    assert "principal component" in shown.get_xlabel()
    assert "class" not in code_map(read_results(root, FAMILIES), VAE, conditional=False).alt


def test_classes_with_names_are_dots_with_a_name_in_the_middle_of_each(workspace):
    root = workspace(classes=3, names=("ant", "b$e$e", "cat"))
    assert [text.get_text() for text in panel(root, LIGHT).texts] == ["ant", "b$e$e", "cat"]
    caption = code_map(read_results(root, FAMILIES), VAE, conditional=False).caption
    assert "Each dot is" in caption
    assert "names: the middle" in caption


def test_of_very_many_classes_no_middle_is_named(workspace):
    assert not panel(workspace(classes=60), LIGHT).texts
