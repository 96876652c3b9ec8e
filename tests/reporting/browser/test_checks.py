"""The checks find what is wrong with pages that are broken on purpose, and nothing wrong with a sound one."""

import browsing
import pytest
from browsing import look

SOUND = (
    '<!doctype html><html lang="en"><title>t</title><meta name="viewport" content="width=device-width"><main><h1>h</h1>'
)
DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
WIDE = '<div style="width: 200vw">wide</div>'


@pytest.fixture
def broken(browser, tmp_path):
    """A function that opens a page with a fault on a phone."""
    views = []

    def open_it(fault):
        (tmp_path / "page.html").write_text(SOUND + fault, encoding="utf-8")
        views.append(look(browser, tmp_path / "page.html", "phone"))
        return views[-1].__enter__()

    yield open_it
    for view in views:
        view.__exit__(None, None, None)


CASES = [
    (browsing.foreign_requests, '<img alt="a" src="http://host.invalid/a.png">'),
    (browsing.foreign_requests, '<link rel="stylesheet" href="other.css">'),
    (browsing.broken_images, '<img alt="a" src="data:image/png;base64,AAAA">'),
    (browsing.broken_images, f'<img src="{DOT}">'),
    (browsing.overflow, WIDE),
    (browsing.unreachable_regions, f'<div style="overflow-x: auto">{WIDE}</div>'),
    (browsing.clipped, f'<div style="overflow: hidden"><img alt="a" src="{DOT}" width="900"></div>'),
    (
        browsing.spilled,
        '<div class="card" style="width: 3em"><p><span style="white-space: nowrap">more than fits</span></div>',
    ),
    (browsing.tiny_text, '<p style="font-size: 9px">tiny'),
    (browsing.tiny_text, '<svg viewBox="0 0 1000 100" width="100"><text y="50" font-size="16">tiny</text></svg>'),
    (browsing.small_targets, '<nav><a href="#">low</a></nav>'),
    (browsing.barriers, '<p style="color: #aaa">pale'),
    (browsing.barriers, "<h4>a step left out</h4>"),
    (browsing.barriers, f'<a href="#"><img alt="" src="{DOT}"></a>'),
]


@pytest.mark.parametrize(("check", "fault"), CASES)
def test_a_check_finds_its_fault(broken, check, fault):
    assert check(broken(fault))


def test_the_checks_find_nothing_in_a_sound_page(broken):
    sound = broken(f'<p>text<img alt="a" src="{DOT}" width="20" height="20">')
    assert {check: check(sound) for check, _ in CASES} == {check: [] for check, _ in CASES}


@pytest.mark.parametrize("fault", ["console.warn('no')", "console.error('no')", "throw Error('no')"])
def test_what_a_script_says_is_heard(broken, fault):
    assert "no" in broken(f"<script>{fault}</script>").said[0]
