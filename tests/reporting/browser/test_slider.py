"""The sliders of the page, moved by mouse, keys and finger: pictures, numbers and marks change together."""

import browsing
import pytest
from browsing import SCREENS, look

STATE = """figure => {
  const text = selector => [...figure.querySelectorAll(selector)].filter(it => it.checkVisibility(
    {visibilityProperty: true})).map(it => it.textContent.trim().replace(/\\s+/g, " "));
  const marks = [...figure.querySelectorAll("svg")].map(chart => [...chart.querySelectorAll(".point")].filter(
    it => getComputedStyle(it).strokeWidth === "7px").map(it => it.dataset.place));
  return {
    value: figure.querySelector("input").value,
    said: figure.querySelector("input").getAttribute("aria-valuetext"),
    shown: text(".control .one > *"),
    rows: [...figure.querySelectorAll("tbody tr")].filter(it => it.checkVisibility()).map(
      it => [...it.querySelectorAll("td")].map(cell => cell.textContent)),
    commands: text("div.one > *"),
    pictures: [...figure.querySelectorAll("img")].filter(it => it.checkVisibility()).map(it => it.alt),
    marks: [...new Set(marks.flat())],
    charts: marks.filter(it => it.length).length,
    heights: [figure.getBoundingClientRect().height, figure.querySelector("table").getBoundingClientRect().height],
  };
}"""
BETA = ("0.5", "1", "2")
NAMES = ("Samples at β = {}", "Reconstructions at β = {}")


def state(page, which=0):
    return page.locator(".slider").nth(which).evaluate(STATE)


def assert_at(page, place):
    """The first figure, of β, shows the value of a place and nothing of another."""
    now = state(page)
    value = BETA[place]
    assert now["value"] == str(place)
    assert len(now["shown"]) == len(now["rows"]) == 1
    assert now["shown"][0].removesuffix(" this run") == f"β = {value}"
    assert now["said"].startswith(f"β = {value}: rate {now['rows'][0][0]}, distortion {now['rows'][0][1]}, ")
    assert now["commands"] == [f"To run it: dvc exp run -S beta={value}"]
    assert now["pictures"] == [name.format(value) for name in NAMES]
    assert (now["marks"], now["charts"]) == ([str(place)], 3)
    return now


@pytest.fixture(params=["phone", "desktop"])
def page(request, browser, files):
    with look(browser, files["report"], request.param) as seen:
        yield seen.page
        assert seen.said == []


def test_arrow_keys_move_all_of_a_figure_and_no_other(page):
    start, other = state(page), state(page, 1)
    assert_at(page, int(start["value"]))
    page.locator(".slider input").first.focus()
    page.keyboard.press("Home")
    first = assert_at(page, 0)
    page.keyboard.press("ArrowRight")
    second = assert_at(page, 1)
    page.keyboard.press("End")
    assert_at(page, 2)
    page.keyboard.press("ArrowLeft")
    assert assert_at(page, 1) == second
    assert first["rows"] != second["rows"]
    assert first["heights"] == second["heights"] == start["heights"]  # nothing jumps
    assert state(page, 1) == other


def test_mouse_and_finger_move_it(page):
    touch = page.evaluate("navigator.maxTouchPoints > 0")
    control = page.locator(".slider input").first
    box = control.bounding_box()
    for share, place in ((0.98, 2), (0.02, 0), (0.5, 1)):
        position = {"x": share * box["width"], "y": box["height"] / 2}
        control.tap(position=position) if touch else control.click(position=position)
        assert_at(page, place)
    assert box["height"] >= browsing.TOUCH


def test_dragging_goes_through_all_values(browser, files):
    with look(browser, files["report"], "desktop") as seen:
        control = seen.page.locator(".slider input").first
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        y = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + box["width"] / 2, y)
        seen.page.mouse.down()
        for share, place in ((0.02, 0), (0.5, 1), (0.98, 2)):
            seen.page.mouse.move(box["x"] + share * box["width"], y)
            assert_at(seen.page, place)
        seen.page.mouse.up()


def test_a_touch_of_a_curve_s_point_moves_the_slider_and_the_keys_go_on_from_there(page):
    touch = page.evaluate("navigator.maxTouchPoints > 0")
    charts = page.locator(".slider").first.locator("svg.chart")
    assert charts.count() == 3
    for which, place in ((0, 2), (1, 0), (2, 1)):
        chart = charts.nth(which)
        chart.scroll_into_view_if_needed()
        where = chart.evaluate(
            """(chart, place) => {
              const [point, whole] = [chart.querySelector(`.point[data-place="${place}"]`), chart].map(
                it => it.getBoundingClientRect());
              return {x: point.x + point.width / 2 - whole.x, y: point.y + point.height / 2 - whole.y};
            }""",
            str(place),
        )
        chart.tap(position=where) if touch else chart.click(position=where)
        assert_at(page, place)
    page.keyboard.press("ArrowRight")
    assert_at(page, 2)


def test_a_pointer_on_a_curve_is_answered_with_the_value_s_numbers(page):
    chart = page.locator(".slider").first.locator("svg.chart").nth(1)
    chart.scroll_into_view_if_needed()
    title = """([x, y]) => document.elementFromPoint(x, y).closest("[data-place]").querySelector("title").textContent"""
    box = chart.bounding_box()
    words = [page.evaluate(title, [box["x"] + share * box["width"], box["y"] + 20]) for share in (0.1, 0.55, 0.95)]
    assert [it.split(":")[0] for it in words] == [f"β = {value}" for value in BETA]


def test_the_slider_has_a_name_and_says_its_value(page):
    control = page.get_by_role("slider", name="Move β")
    control.focus()
    page.keyboard.press("Home")
    assert control.get_attribute("aria-valuetext").startswith("β = 0.5: rate ")


def test_the_slider_stays_in_sight_while_its_figure_is_scrolled(page):
    page.locator(".slider svg.chart").nth(2).scroll_into_view_if_needed()
    box = page.locator(".slider input").first.bounding_box()
    assert 0 <= box["y"] < page.viewport_size["height"] - box["height"]


STATIC = """return all(".slider").map(it => [
  [...it.querySelectorAll("tbody tr")].filter(visible).length,
  [...it.querySelectorAll("img")].filter(visible).length,
  [...it.querySelectorAll("div.one > *")].filter(visible).length,
  [...it.querySelectorAll("input, .control")].filter(visible).length,
])"""


def test_on_paper_there_is_a_table_with_the_pictures_of_all_values(browser, files):
    with look(browser, files["report"], "paper") as seen:
        assert seen.ask(STATIC) == [[3, 6, 1, 0], [3, 3, 1, 0]]


def test_without_javascript_there_is_the_same(browser, files):
    context = browser.new_context(**SCREENS["phone"], java_script_enabled=False, offline=True)
    opened = context.new_page()
    opened.goto(files["report"].as_uri())
    figures = opened.locator(".slider")
    assert figures.count() == 2
    for place, images in ((0, 6), (1, 3)):
        figure = figures.nth(place)
        assert [it.is_visible() for it in figure.locator("tbody tr").all()] == [True] * 3
        assert [it.is_visible() for it in figure.locator("img").all()] == [True] * images
        assert not figure.locator("input").is_visible()
    context.close()
