"""The map of the codes, chosen from by mouse, finger and keys."""

import browsing
import numpy as np
import pytest
from browsing import SCREENS, look

STATE = """figure => {
  const pixels = [...figure.querySelectorAll("canvas")].map(canvas => {
    const {width, height} = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, width, height).data].filter((_, channel) => channel % 4 === 0);
  });
  const ring = figure.querySelector(".choice");
  return {
    place: Number(figure.dataset.place),
    said: figure.querySelector("[role=status]").textContent,
    pixels,
    ring: [ring.getAttribute("cx"), ring.getAttribute("cy")].map(Number),
    focused: document.activeElement === figure.querySelector(".map"),
  };
}"""
PLACES = "map => map.dataset.places.trim().split(' ').map(it => it.split(',').map(Number))"
ON_SCREEN = """(svg, [x, y]) => {
  const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM()), box = svg.getBoundingClientRect();
  return {x: at.x - box.x, y: at.y - box.y};
}"""


@pytest.fixture(params=["phone", "desktop"])
def page(request, browser, files):
    with look(browser, files["report"], request.param) as seen:
        seen.page.wait_for_function("document.querySelector('.codes').dataset.place === '0'", timeout=20_000)
        yield seen.page
        assert seen.said == []


def assert_shows(page, mapped, place):
    """Words, both images and the ring are of one test image."""
    now = page.locator(".codes").evaluate(STATE)
    assert now["place"] == place
    assert now["said"] == f"Image {place + 1} of 90: class {place % 10}"
    assert now["ring"] == page.locator(".codes .map").evaluate(PLACES)[place]
    for drawn, images in zip(now["pixels"], mapped(), strict=True):
        np.testing.assert_array_equal(np.reshape(drawn, images.shape[1:]), images[place])
    return now


def test_a_click_or_a_touch_chooses_the_nearest_code(page, mapped):
    assert_shows(page, mapped, 0)
    touch = page.evaluate("navigator.maxTouchPoints > 0")
    places = page.locator(".codes .map").evaluate(PLACES)
    svg = page.locator(".codes svg")
    svg.scroll_into_view_if_needed()
    for place in (7, 41, 89):
        position = svg.evaluate(ON_SCREEN, places[place])
        svg.tap(position=position) if touch else svg.click(position=position)
        assert assert_shows(page, mapped, place)["focused"]


def test_arrow_keys_go_to_the_nearest_code_that_way(page, mapped):
    places = np.array(page.locator(".codes .map").evaluate(PLACES))
    page.locator(".codes .map").focus()
    here = 0
    for key, way in (("Right", (1, 0)), ("Down", (0, 1)), ("Left", (-1, 0)), ("Left", (-1, 0)), ("Up", (0, -1))):
        from_here = places - places[here]
        along, across = from_here @ way, np.abs(from_here @ way[::-1])
        far = np.where((along > 0) & (across <= along), np.hypot(*from_here.T), np.inf)
        if np.isfinite(far.min()):
            here = int(far.argmin())
        page.keyboard.press(f"Arrow{key}")
        assert_shows(page, mapped, here)
    assert here != 0


def test_at_the_edge_the_choice_stays(page, mapped):
    places = np.array(page.locator(".codes .map").evaluate(PLACES))
    page.locator(".codes .map").focus()
    for _ in range(90):
        page.keyboard.press("ArrowRight")
    last = page.locator(".codes").evaluate(STATE)["place"]
    from_here = places - places[last]
    assert not ((from_here[:, 0] > 0) & (np.abs(from_here[:, 1]) <= from_here[:, 0])).any()
    assert_shows(page, mapped, last)


def test_it_has_a_name_and_says_what_is_chosen(page):
    map_ = page.get_by_role("application", name="VAE: classes in latent space: choose a test image with the arrow keys")
    assert map_.count() == 1
    assert page.get_by_role("status").text_content() == "Image 1 of 90: class 0"


def test_the_map_is_large_enough_to_touch(page):
    box = page.locator(".codes svg").bounding_box()
    assert min(box["width"], box["height"]) > 4 * browsing.TOUCH


@pytest.mark.parametrize("how", ["paper", "no JavaScript"])
def test_on_paper_and_without_javascript_it_is_a_picture(browser, files, how):
    if how == "paper":
        with look(browser, files["report"], "paper") as seen:
            assert_is_a_picture(seen.page)
        return
    context = browser.new_context(**SCREENS["phone"], java_script_enabled=False, offline=True)
    opened = context.new_page()
    opened.goto(files["report"].as_uri())
    assert_is_a_picture(opened)
    context.close()


def assert_is_a_picture(page):
    figure = page.locator(".codes")
    assert figure.locator("svg").is_visible()
    assert figure.get_by_role("img", name="Map of the codes of 100 test images").count() == 1
    for hidden in (".chosen", "canvas", ".choice", ".chosen img >> nth=0"):
        assert not figure.locator(hidden).first.is_visible()
