"""Both pages are HTML without an error, as the strict parser of the standard's algorithm reads it."""

import html5lib
import pytest
from html5lib.html5parser import ParseError


def test_the_pages_have_no_parse_error(path):
    html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "fault",
    ["<p>no doctype", "<!doctype html><p><ul></p></ul>", "<!doctype html><table><p></table>", "<!doctype html>&no"],
)
def test_a_fault_is_an_error(fault):
    with pytest.raises(ParseError):
        html5lib.HTMLParser(strict=True).parse(fault)
