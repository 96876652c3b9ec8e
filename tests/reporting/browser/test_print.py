"""The pages on paper."""

import browsing
from browsing import look

FOLDED = 'return all("details td").filter(visible).length'


def test_nothing_is_cut_off(printed):
    assert browsing.overflow(printed) == []
    assert browsing.clipped(printed) == []


def test_what_only_a_screen_needs_is_left_out(printed):
    assert printed.ask('return all("nav, .skip").filter(visible).map(name)') == []


def test_figures_are_those_for_white_paper(printed):
    shown = printed.ask('return all(".plot img").filter(visible).map(it => it.className)')
    assert set(shown) == ({"light"} if printed.ask('return all("img.light").length') else set())


def test_what_is_folded_on_the_screen_is_printed(browser, files):
    with look(browser, files["report"], "desktop") as screen:
        assert screen.ask(FOLDED) == 0
    with look(browser, files["report"], "paper") as paper:
        assert paper.ask(FOLDED) == paper.ask('return all("details td").length') > 100


def test_the_pdf_holds_every_image(printed):
    images = set(printed.ask('return all("img").filter(visible).map(it => it.src)'))
    pdf = printed.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") >= len(images) > 3
