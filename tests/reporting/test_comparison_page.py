"""The page of a comparison, as a browser's parser sees it."""

import base64
import itertools
import re
from dataclasses import replace

import pytest
from compared import CONTENT, PLOT

from genbalance.reporting.comparison_page import Grid, Side, comparison_page
from genbalance.reporting.spread import STANDS_OUT, WITHIN, Cell

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def html():
    return comparison_page(CONTENT)


@pytest.fixture(scope="module")
def page(html, parse):
    return parse(html)


def test_every_element_that_is_opened_is_closed_and_every_id_is_there_once(page):
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(ids)


def test_headings_go_down_a_step_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_needs_nothing_else(html, page):
    assert all(address.startswith(("data:", "#")) for address in page.loaded)
    assert not page.all("script", "iframe", "object", "embed")
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_has_an_alternative_text_and_figures_are_there_in_light_and_dark(page):
    grids = ("VAE: samples, seed 1, a: beta=0.5, seed 1", "VAE: samples, seed 1, b: beta=4, seed 1")
    assert [picture["alt"] for picture in page.all("img")] == [*["Line charts."] * 2, *grids, *["Line charts."] * 2]
    assert [picture["class"] for picture in page.all("img") if "class" in picture] == ["light", "dark"] * 2
    image = CONTENT.grids["VAE: samples"]["seed 1"][0].image
    assert page.all("img")[2]["src"].endswith(base64.b64encode(image).decode())


def test_every_row_has_a_cell_for_each_group(html):
    table = html[html.index('<table class="groups">') :].split("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', table, re.DOTALL)
    assert [row.count("<td>") for row in rows] == [2, 2]
    assert "VAE: −ELBO" in rows[0]
    assert "lower is better" in rows[0]


@pytest.mark.parametrize(
    "words",
    [
        *("beta-4 (44444444)", "122.5 ± 1.8", "+20.5 [+16.2, +24.8]", STANDS_OUT, WITHIN, "Holm's correction"),
        *(
            "What β does",
            "Curves that are identical in all groups, seed by seed: GAN.",
            "cache: beta-4: train_class",
        ),
    ],
)
def test_the_page_shows(words, page):
    assert words in page.text


def test_what_there_is_none_of_leaves_no_hole(parse):
    bare = replace(
        CONTENT, params={}, notes=[], foot=[], metrics={}, grids={}, curves=[], same_curves=[], missing=[], sweeps=[]
    )
    seen = parse(comparison_page(bare))
    assert seen.open == []
    assert "None of the runs keeps a sample grid" in seen.text
    assert "Along the parameter" not in seen.text


def test_html_in_names_and_params_is_shown_and_not_obeyed(parse):
    evil = replace(
        CONTENT,
        sides=[Side("a", EVIL, "1", (EVIL,)), Side("b", '"><img src=http://x>', "1", ("b",))],
        params={EVIL: [EVIL, "1"]},
        notes=[EVIL],
        foot=[EVIL],
        metrics={EVIL: [Cell("1"), Cell("2", "+1", "–", "–", EVIL)]},
        grids={"GAN: samples": {"seed 1": [Grid(b"one", f'a: {EVIL} " onerror="alert(1)')]}},
        curves=[replace(PLOT, alt=EVIL, title=EVIL, caption=EVIL)],
        missing=[EVIL],
        sweeps=[],
    )
    html = comparison_page(evil)
    seen = parse(html)
    assert "<script" not in html
    assert not any("onerror" in attrs for _, attrs in seen.elements)
    assert all(address.startswith(("data:", "#")) for address in seen.loaded)
    assert seen.text.count(EVIL) >= 10


def test_equal_input_gives_an_equal_page(html):
    assert comparison_page(CONTENT) == html
