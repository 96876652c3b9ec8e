"""The map on which a reader chooses a code."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from reported import FAMILIES

from genbalance.reporting.code_map import COLUMNS, code_map
from genbalance.reporting.latents import code_map as picture
from genbalance.reporting.page import figures, page
from genbalance.reporting.results import read_results

VAE = FAMILIES["vae"]


@pytest.fixture
def drawn_map(mapped):
    """A function that makes the map of a workspace's codes."""

    def make(root, conditional=False, **sizes):
        results = read_results(root, FAMILIES)
        return code_map(results, VAE, picture(results, VAE, conditional), conditional, mapped(**sizes))

    return make


def test_places_are_those_of_the_codes_on_two_axes(finished, drawn_map):
    it = drawn_map(finished)
    table = read_results(finished, FAMILIES).tables["evaluate_vae/codes"]
    assert len(it.places) == 90
    assert it.labels == tuple(str(int(label)) for label in table["class"][:90])
    for axis, (name, sign) in enumerate((("x", 1), ("y", -1))):  # down is larger in an SVG
        places = np.array(it.places)[:, axis]
        assert np.corrcoef(places, table[name][:90])[0, 1] == pytest.approx(sign, abs=1e-4)
        low, high = sorted(it.frame[2 * axis : 2 * axis + 2])
        assert low < places.min() < places.max() < high
    ((at, label), *_) = it.xs
    slope = np.polyfit(table["x"][:90], np.array(it.places)[:, 0], 1)
    assert np.polyval(slope, float(label.replace("−", "-"))) == pytest.approx(at, abs=0.1)


def test_each_code_is_a_dot_of_its_class_and_each_class_named_in_its_middle(finished, drawn_map):
    it = drawn_map(finished)
    assert len(it.dots) == len(it.middles) == 10
    for label, dots in enumerate(it.dots):
        own = [place for place, of in zip(it.places, it.labels, strict=True) if of == str(label)]
        found = [tuple(map(float, pair)) for pair in re.findall(r"M(\S+) (\S+?)h0", dots.path)]
        assert found == own
        x, y, ink, name = it.middles[label]
        assert (x, y) == pytest.approx(np.mean(own, axis=0), abs=0.06)
        assert (ink, name) == (label, str(label))


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (6, 4, 3)])
def test_sheets_hold_each_image_where_the_page_cuts_it_out(finished, drawn_map, mapped, size):
    it = drawn_map(finished, size=size)
    height, width, *_ = size
    assert it.size == (width, height)
    for sheet, images in zip((it.originals, it.reconstructions), mapped(size=size), strict=True):
        with Image.open(io.BytesIO(sheet)) as opened:
            pixels = np.asarray(opened)
        assert pixels.shape[1] == COLUMNS * width
        for place in (0, 39, 40, 89):
            left, top = place % COLUMNS * width, place // COLUMNS * height
            np.testing.assert_array_equal(pixels[top : top + height, left : left + width], images[place])


def test_without_classes_there_is_one_colour_and_no_name(workspace, drawn_map):
    it = drawn_map(workspace(classes=0))
    assert (len(it.dots), it.middles, it.labels) == (1, (), ())
    assert "principal component" in it.named[0]
    assert "class" not in it.caption


def test_of_very_many_classes_no_middle_is_named(workspace, drawn_map):
    it = drawn_map(workspace(classes=60))
    assert it.middles == ()
    assert {dots.ink for dots in it.dots} == set(range(10))
    assert "several classes" in it.caption


def test_its_caption_speaks_of_dots_and_of_what_a_conditional_model_need_not_hold(finished, drawn_map):
    assert drawn_map(finished).caption.startswith("Each dot is the code E[z|x] of a test image; numbers: the middle")
    assert "conditioned on the class" in drawn_map(finished, conditional=True).caption


def test_where_the_page_has_no_room_for_all_that_is_said(finished, drawn_map):
    assert "Shown are the first 90 of these images; figures/code_map.png has them all." in drawn_map(finished).caption
    assert "Shown are" not in drawn_map(finished, count=100).caption


@pytest.mark.usefixtures("undrawn")
def test_the_page_has_it_in_place_of_the_picture(finished, settings, drawn, mapped, parse):
    results, own = read_results(finished, FAMILIES), settings(finished)
    without, with_map = page(results, own, drawn), page(results, own, drawn, {"vae": mapped()})
    seen = parse(with_map)
    assert seen.open == []
    assert "code_map.png" in figures(results, own)  # it stays beside the page
    alt = picture(results, VAE, conditional=False).alt
    assert [it["alt"] for it in parse(without).all("img")].count(alt) == 2  # light and dark
    assert alt not in [it["alt"] for it in seen.all("img")]
    assert [it["aria-label"] for it in seen.all("svg") if "aria-label" in it].count(alt) == 1
    (map_,) = [it for it in seen.all("div") if it.get("class") == "map"]
    assert len(map_["data-places"].split()) == 90
    assert seen.all("script") == [{}]


@pytest.mark.usefixtures("undrawn")
def test_a_class_may_be_called_anything(workspace, settings, mapped, parse):
    root = workspace(classes=3, names=("<b>", "\"quoted\" & 'so'", "</script>"))
    results, own = read_results(root, FAMILIES), settings(root)
    seen = parse(page(results, own, figures(results, own), {"vae": mapped()}))
    assert seen.open == []
    (map_,) = [it for it in seen.all("div") if it.get("class") == "map"]
    assert json.loads(map_["data-labels"])[:3] == ["<b>", "\"quoted\" & 'so'", "</script>"]
