"""The pages, used by finger, mouse and keyboard."""

import browsing
import pytest
from browsing import look

ARRIVED = """hash => {
  const root = document.documentElement;
  const top = document.querySelector(hash).getBoundingClientRect().top;
  const ended = root.scrollTop + root.clientHeight >= root.scrollHeight - 1;
  return location.hash === hash && top > -1 && (top < 25 || ended);
}"""


@pytest.fixture
def phone(browser, path):
    with look(browser, path, "phone") as seen:
        yield seen


def focused(page):
    return page.evaluate("[document.activeElement.tagName, document.activeElement.getAttribute('href')]")


def test_links_lead_to_their_sections(fresh, screen):
    links = fresh.page.locator("nav a")
    hashes = [link.get_attribute("href") for link in links.all()]
    assert hashes == [f"#{name}" for name in fresh.ask('return all("main > section").map(it => it.id)')]
    for place, name in enumerate(hashes):
        link = links.nth(place)
        link.tap() if screen == "phone" else link.click()
        fresh.page.wait_for_function(ARRIVED, arg=name)


SHOWN = """return all("#effect .answer, #effect input, #effect .frames img, #effect .chart").filter(visible).map(it => [
  it.closest("article").querySelector("h3").textContent,
  it.tagName === "svg" ? "chart" : it.tagName,
  it.getBoundingClientRect().bottom + scrollY,
  it.tagName !== "IMG" || it.naturalWidth > 0,
])"""


def test_the_answers_are_seen_before_a_second_screen_is_scrolled(browser, files):
    """Both questions, answers, sliders, pictures and first curves within the first 1,500 px of a desktop; on a phone
    they come first, and the first question's pictures within the same."""
    for screen, questions in (("desktop", {"What does β do?", "What does λ do?"}), ("phone", {"What does β do?"})):
        with look(browser, files["report"], screen) as seen:
            seen.ask('return Promise.all(all("img").map(it => it.decode().catch(() => 0)))')
            found = [it for it in seen.ask(SHOWN) if it[0] in questions]
            charts = {it[0]: it for it in reversed(found) if it[1] == "chart"}
            others = [it for it in found if it[1] != "chart"]
            assert len(charts) == len(questions)
            assert len(others) == {"desktop": 7, "phone": 4}[screen]  # answers, sliders, pictures
            for _, kind, bottom, loaded in [*others, *(charts.values() if screen == "desktop" else ())]:
                assert bottom <= 1500, kind
                assert loaded


def test_links_and_summaries_fit_a_finger(phone):
    assert browsing.small_targets(phone) == []


def test_the_first_key_offers_a_way_past_the_navigation(fresh):
    page = fresh.page
    assert not page.locator(".skip").evaluate("it => it.getBoundingClientRect().right > 0")
    page.keyboard.press("Tab")
    assert focused(page) == ["A", "#main"]
    assert page.locator(".skip").evaluate("it => it.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main'")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_details_open_and_close_by_keyboard(browser, files):
    with look(browser, files["report"], "desktop") as seen:
        details = seen.page.locator("details")
        assert details.count() == 3
        for one in details.all():
            one.locator("summary").focus()
            seen.page.keyboard.press("Enter")
            assert one.evaluate("it => it.open")
            assert one.locator("td").first.is_visible()
            seen.page.keyboard.press("Space")
            assert not one.evaluate("it => it.open")


def test_a_wide_table_scrolls_by_keyboard_and_the_page_stays(phone):
    region = phone.page.locator(".wide:has(table)").last
    assert region.evaluate("it => it.scrollWidth > it.clientWidth")
    region.focus()
    phone.page.keyboard.press("ArrowRight")
    region.evaluate("it => new Promise(done => it.scrollLeft > 0 ? done() : it.addEventListener('scroll', done))")
    assert phone.page.evaluate("scrollX") == 0
