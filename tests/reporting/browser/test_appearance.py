"""The pages, on a phone and on a desktop, in light and in dark."""

import browsing

PAINTED = """return all(".plot:has(img.light)").map(plot => {
  const shown = [...plot.querySelectorAll("img")].filter(visible);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.drawImage(shown[0], 0, 0, 1, 1, 0, 0, 1, 1);
  const corner = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  return [shown.map(it => it.className).join(), `rgb(${corner.join(", ")})`, getComputedStyle(plot).backgroundColor];
})"""


def test_the_browser_has_nothing_to_say(seen):
    assert seen.said == []


def test_nothing_is_requested_but_the_page(seen):
    assert seen.requests[0] == seen.page.url
    assert browsing.foreign_requests(seen) == []


def test_every_image_is_there_with_an_alternative_text(seen):
    assert browsing.broken_images(seen) == []


def test_the_page_is_no_wider_than_the_screen(seen):
    assert browsing.overflow(seen) == []


def test_what_scrolls_sideways_has_a_name_and_can_be_reached_by_keyboard(seen):
    assert browsing.unreachable_regions(seen) == []


def test_no_text_is_tiny(seen):
    assert browsing.tiny_text(seen) == []


def test_nothing_bars_anyone(seen):
    assert browsing.barriers(seen) == []


def test_figures_are_painted_on_the_card_s_own_colour(seen):
    scheme = "dark" if seen.ask('return matchMedia("(prefers-color-scheme: dark)").matches') else "light"
    painted = seen.ask(PAINTED)
    assert painted or not seen.ask('return all("img.light").length')
    for shown, corner, card in painted:
        assert (shown, corner) == (scheme, card)


def test_the_paper_is_bright_in_light_and_dim_in_dark(seen):
    dark = seen.ask('return matchMedia("(prefers-color-scheme: dark)").matches')
    colours = seen.ask("""const style = getComputedStyle(document.body);
      return [style.backgroundColor, style.color].map(it => Math.max(...it.match(/\\d+/g)))""")
    assert (colours[0] < colours[1]) == dark


def test_nothing_stands_out_of_its_card_be_its_numbers_as_long_as_they_may(fresh):
    assert browsing.spilled(fresh) == []
    fresh.ask("""all(".scale dd > span:only-child").forEach(it => {
      it.lastChild.textContent = " −5.537·10⁻⁴";
      it.querySelectorAll("small").forEach(span => span.textContent = "−5.054·10⁻⁴ … 6.021·10⁻⁴");
    })""")
    assert browsing.spilled(fresh) == []
