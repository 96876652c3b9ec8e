"""A comparison as a pandas table."""

import statistics

import pytest

from genbalance.commands.compare import compare_groups
from genbalance.commands.compare_frame import table
from genbalance.reporting.spread import STANDS_OUT

X = {"a": [1.0, 2.0, 3.0], "b": [11.0, 12.5, 13.0], "c": [4.0]}


@pytest.fixture
def frame(group):
    made = [
        group(name, {"f.x": values, "g.y": [v * v for v in values]}, range(1, len(values) + 1), {"beta": beta, "w": 1})
        for beta, (name, values) in enumerate(X.items())
    ]
    return table(compare_groups(made, every=True))


def test_there_is_a_row_for_each_metric_and_group_in_order(frame):
    assert list(frame.index) == [(metric, group) for metric in ("f.x", "g.y") for group in "abc"]


def test_params_that_differ_are_columns_so_that_a_metric_can_be_drawn_over_them(frame):
    assert [column for column in frame if column.startswith("params.")] == ["params.beta"]
    assert frame.loc["f.x"]["params.beta"].tolist() == [0, 1, 2]


def test_means_and_spread_are_those_of_the_values(frame):
    rows = frame.loc["f.x"]
    assert rows["n"].tolist() == [3, 3, 1]
    assert rows["mean"].tolist() == pytest.approx([statistics.mean(values) for values in X.values()])
    assert rows["sd"].tolist()[:2] == pytest.approx([statistics.stdev(values) for values in list(X.values())[:2]])
    assert rows["sd"].isna().tolist() == [False, False, True]


def test_the_group_that_is_compared_with_has_no_difference_and_one_seed_no_interval(frame):
    rows = frame.loc["f.x"]
    assert rows["difference"].isna().tolist() == [True, False, False]
    assert rows["low"].isna().tolist() == [True, False, True]
    assert rows["p_holm"].isna().tolist() == [True, False, True]
    assert rows["verdict"].isna().tolist() == [True, False, False]
    assert rows.loc["b", "verdict"] == STANDS_OUT
    assert rows.loc["b", "difference"] == pytest.approx(12.5 - 2 - 1 / 3)


def test_groups_that_are_the_same_give_an_empty_table(group):
    frame = table(compare_groups([group("a", {"f.x": [1, 2, 3]}), group("b", {"f.x": [1, 2, 3]})], every=True))
    assert frame.empty
    assert "verdict" in frame
