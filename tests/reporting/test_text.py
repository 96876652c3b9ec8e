"""Numbers as text."""

import pytest

from genbalance.reporting.text import flat, listed, number, parameter, share, span, unbroken


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0, "0"), (42, "42"), (183521, "183,521"), (1.0, "1"), (-3, "−3")],
        *[(22.814, "22.81"), (1210.56, "1,211"), (9.2, "9.200"), (-22.814, "−22.81")],
        *[(0.00931, "0.00931"), (0.8812, "0.8812"), (-2.1e-4, "−2.1·10⁻⁴"), (1.25e9 + 0.5, "1.25·10⁹")],
    ],
)
def test_a_number_is_written_for_reading(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        *[(110.214, 113.306, "110.2 … 113.3"), (0.0667, 0.0942, "0.067 … 0.094"), (8.1, 10.25, "8.1 … 10.2")],
        *[(-0.0061, 0.0024, "−0.0061 … 0.0024"), (1200, 1450.3, "1,200 … 1,450"), (3, 3, "3 … 3")],
        *[(0.5, 0.5000001, "0.5 … 0.5"), (0, 4e-9, "0 … 4·10⁻⁹")],
    ],
)
def test_an_interval_has_the_digits_of_its_width(low, high, text):
    assert span(low, high) == text


def test_a_share_has_three_decimals():
    assert [share(0.4567), share(0.07), share(1), share(0)] == ["0.457", "0.070", "1.000", "0.000"]


def test_no_line_breaks_within_an_equation():
    text = unbroken("from β = 0.1 to 1 = 1")
    assert text.split(" ") == ["from", "β\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.1", "to", text[-5:]]
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "from β = 0.1 to 1 = 1"


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (1.0, "1.0"), (0.0005, "0.0005"), ("dcgan", "dcgan")])
def test_a_parameter_is_written_as_in_its_file(value, text):
    assert parameter(value) == text


def test_nested_metrics_get_dotted_names():
    assert flat({"a": 1, "b": {"0": 0.5, "x": {"y": "z"}}}) == {"a": "1", "b.0": "0.5", "b.x.y": "z"}


def test_texts_are_listed_in_a_sentence():
    assert [listed("abc"[:n], "or") for n in (1, 2, 3)] == ["a", "a or b", "a, b or c"]
