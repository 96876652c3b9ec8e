"""Pages in a real browser, and checks of them: each gives what is wrong, in words, or nothing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENS: dict[str, dict[str, Any]] = {
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "paper": {"viewport": {"width": 718, "height": 1047}},  # what A4 leaves between margins of 1 cm, in CSS pixels
}
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SMALLEST_TEXT = 11  # CSS pixels
TOUCH = 44  # CSS pixels: a finger's width, WCAG 2.5.5


@dataclass
class Seen:
    """A page that is open, and what it said and asked for meanwhile."""

    page: Page
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        """What a script finds in the page, with the functions of :data:`COMMON` at hand."""
        return self.page.evaluate(f"() => {{ {COMMON} {script} }}")


COMMON = """
const all = selector => [...document.querySelectorAll(selector)];
const name = element => element.tagName.toLowerCase()
  + (element.id ? "#" + element.id : "") + [...element.classList].map(it => "." + it).join("");
const own = element => [...element.childNodes].some(it => it.nodeType === Node.TEXT_NODE && it.data.trim());
const visible = element => element.checkVisibility({visibilityProperty: true});
"""


def installed() -> str | None:
    """The browser: the one that GENBALANCE_BROWSER names, which then has to start, or the first that is there."""
    return os.environ.get("GENBALANCE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def look(browser: Browser, file: Path, screen: str, scheme: str = "light") -> Iterator[Seen]:
    """A page from its file, without any network, without animations; its events are heard from the first on."""
    context = browser.new_context(**SCREENS[screen], color_scheme=scheme, reduced_motion="reduce", offline=True)
    seen = Seen(context.new_page())
    if screen == "paper":
        seen.page.emulate_media(media="print")
    seen.page.on("console", lambda it: seen.said.append(f"{it.type}: {it.text}"))
    seen.page.on("pageerror", lambda it: seen.said.append(f"error: {it}"))
    seen.page.on("request", lambda it: seen.requests.append(it.url))
    seen.page.goto(file.as_uri())
    yield seen
    context.close()


def foreign_requests(seen: Seen) -> list[str]:
    return [url for url in seen.requests if url != seen.page.url.partition("#")[0] and not url.startswith("data:")]


def broken_images(seen: Seen) -> list[str]:
    """Images that cannot be decoded, or that nobody tells in words."""
    return seen.ask("""return Promise.all(all("img").map(async it => {
      const decoded = await it.decode().then(() => it.complete && it.naturalWidth > 0, () => false);
      return [...(decoded ? [] : ["not decoded"]), ...(it.alt.trim() ? [] : ["no alternative text"])]
        .map(fault => `${name(it)} in ${name(it.parentElement)}: ${fault}`);
    })).then(faults => faults.flat())""")


def overflow(seen: Seen) -> list[str]:
    """What makes the whole page wider than the screen."""
    return seen.ask("""const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width) return [];
      return all("body *").filter(it => it.getBoundingClientRect().right > width + 1).map(name)""")


def unreachable_regions(seen: Seen) -> list[str]:
    """What scrolls sideways and cannot be focused by keyboard or has no name."""
    return seen.ask("""return all("body *").filter(it => it.scrollWidth > it.clientWidth + 1
      && ["auto", "scroll"].includes(getComputedStyle(it).overflowX)
      && !(it.tabIndex === 0 && it.ariaLabel)).map(name)""")


def clipped(seen: Seen) -> list[str]:
    """Images and tables of which an ancestor, or the edge of the page, cuts something off."""
    return seen.ask("""return all("img, svg, table").filter(visible).filter(it => {
      const box = it.getBoundingClientRect();
      const width = document.documentElement.clientWidth;
      if (box.width < 1 || box.height < 1 || box.left < -1 || box.right > width + 1) return true;
      for (let above = it.parentElement; above; above = above.parentElement) {
        const edge = above.getBoundingClientRect();
        if (getComputedStyle(above).overflowX !== "visible" && (box.right > edge.right + 1 || box.left < edge.left - 1))
          return true;
      }
      return false;
    }).map(it => `${name(it)} in ${name(it.parentElement)}`)""")


def spilled(seen: Seen) -> list[str]:
    """What stands out of its card."""
    return seen.ask("""return all(".card").filter(visible).flatMap(card => [...card.querySelectorAll("*")]
      .filter(it => it.getBoundingClientRect().right > card.getBoundingClientRect().right + 1)
      .map(it => `${name(it)} in ${name(card)}: ${it.textContent.trim().slice(0, 40)}`))""")


def tiny_text(seen: Seen) -> list[str]:
    return seen.ask(f"""return all("body *").filter(own).filter(visible).map(it => {{
      const scale = it.getScreenCTM ? it.getScreenCTM().a : 1;
      return [it, scale * parseFloat(getComputedStyle(it).fontSize)];
    }}).filter(([it, size]) => size < {SMALLEST_TEXT}).map(([it, size]) => `${{name(it)}}: ${{size.toFixed(1)}} px`)""")


def small_targets(seen: Seen) -> list[str]:
    """What is to be touched and is lower than a finger is wide."""
    return seen.ask(f"""return all("nav a, summary").map(it => [it, it.getBoundingClientRect()])
      .filter(([it, box]) => box.height < {TOUCH}).map(([it, box]) => `${{it.textContent}}: ${{box.height}} px`)""")


def barriers(seen: Seen) -> list[str]:
    """Violations of axe-core's rules for WCAG 2.2 A and AA, and of its best practices."""
    found = Axe().run(seen.page, options={"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
