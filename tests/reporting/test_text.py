"""Numbers as text."""

import pytest

from genbalance.reporting.text import flat, number, parameter


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


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (1.0, "1.0"), (0.0005, "0.0005"), ("dcgan", "dcgan")])
def test_a_parameter_is_written_as_in_its_file(value, text):
    assert parameter(value) == text


def test_nested_metrics_get_dotted_names():
    assert flat({"a": 1, "b": {"0": 0.5, "x": {"y": "z"}}}) == {"a": "1", "b.0": "0.5", "b.x.y": "z"}
