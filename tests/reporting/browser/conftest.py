"""A browser for the tests of this folder, and pages in it."""

import pytest
from browsing import installed, look
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window. It ends with its file: while it runs, no other event loop can in this process."""
    executable = installed()
    if executable is None:
        pytest.skip("needs a Chromium: apt-get install chromium, or its path in GENBALANCE_BROWSER")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable)
        yield started
        started.close()


@pytest.fixture(params=["phone", "desktop"])
def screen(request):
    return request.param


@pytest.fixture
def fresh(browser, path, screen):
    """A page that a test may act on."""
    with look(browser, path, screen) as seen:
        yield seen


@pytest.fixture(scope="module", params=["phone-light", "phone-dark", "desktop-light", "desktop-dark"])
def seen(request, browser, path):
    """A page with everything unfolded, which tests look at and leave as it is."""
    with look(browser, path, *request.param.split("-")) as seen:
        seen.ask('all("details").forEach(it => it.open = true)')
        yield seen


@pytest.fixture(scope="module", params=["light", "dark"])
def printed(request, browser, path):
    """A page as it is printed, from a screen in light or in dark."""
    with look(browser, path, "paper", request.param) as seen:
        yield seen
