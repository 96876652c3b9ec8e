"""The colours of the page and its figures."""

import pytest

from genbalance.families.registry import known
from genbalance.reporting.latents import DARK_INKS, LIGHT_INKS
from genbalance.reporting.theme import DARK, LIGHT


def luminance(ink):
    """Relative luminance of #rrggbb, WCAG 2.1."""
    levels = [int(ink[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return sum(weight * level for weight, level in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(*inks):
    low, high = sorted(map(luminance, inks))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "inks"), [(LIGHT, LIGHT_INKS), (DARK, DARK_INKS)])
def test_the_inks_of_classes_differ_and_stand_out(theme, inks):
    """Three to one (WCAG 2.1, 1.4.11); the digits need no colour to be distinguished."""
    assert len(set(inks)) == 10
    assert all(contrast(ink, theme.card) > 3 for ink in inks)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_words_in_every_colour_are_legible(theme):
    """4.5 to one (WCAG 2.1, 1.4.3), on the page and on cards."""
    inks = [theme.ink, theme.muted, theme.accent, theme.real, theme.extra, *map(theme.of, known().values())]
    assert all(contrast(ink, paper) >= 4.5 for ink in inks for paper in (theme.paper, theme.card))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_each_family_has_a_colour_of_its_own(theme):
    inks = [theme.ink, theme.muted, theme.real, theme.extra, *map(theme.of, known().values())]
    assert len(set(inks)) == len(inks)


def test_the_style_sheet_has_every_colour_under_one_name():
    assert LIGHT.colours.keys() == DARK.colours.keys()
    assert {*known(), "paper", "card", "accent"} <= LIGHT.colours.keys()
