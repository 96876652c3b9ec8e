"""How numbers are written with their spread; the digits themselves are tested where the table is, with its text."""

import math

import pandas as pd

from genbalance.reporting.spread import NONE, NOT_JUDGED, SAME, Cell, cells, fixed

COLUMNS = ("mean", "sd", "difference", "low", "high", "effect", "verdict")
NAN = math.nan


def test_the_first_group_is_a_mean_alone_and_one_seed_has_no_interval():
    rows = pd.DataFrame([(1.0, 0.1, *[NAN] * 5), (2.0, NAN, 1.0, NAN, NAN, NAN, NOT_JUDGED)], columns=COLUMNS)
    first, other = cells(rows)
    assert (first.mean, first.difference, first.verdict) == ("1.00 ± 0.10", "", "")
    assert (other.mean, other.difference, other.interval, other.effect) == ("2.00", "+1.00", NONE, NONE)


def test_where_nothing_spreads_the_largest_difference_gives_the_digits():
    rows = pd.DataFrame([(0.5, NAN, *[NAN] * 5)] + [(0.5 + d, NAN, d, NAN, NAN, NAN, "") for d in (0.0, 0.01, -2.5)],
                        columns=COLUMNS)  # fmt: skip
    assert [cell.mean for cell in cells(rows)] == ["0.500", "0.500", "0.510", "−2.000"]


def test_what_is_the_same_has_no_difference():
    rows = pd.DataFrame([(1.0, 0.1, *[NAN] * 5), (1.0, 0.1, 0.0, 0.0, 0.0, 0.0, SAME)], columns=COLUMNS)
    assert cells(rows)[1] == Cell("1.00 ± 0.10", verdict=SAME)


def test_minus_zero_is_zero():
    assert fixed(-0.001, 2) == "0.00"
    assert fixed(-0.001, 2, "+") == "+0.00"
