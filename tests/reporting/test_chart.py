"""Charts of the page: where their parts stand."""

from itertools import pairwise

import pytest

from genbalance.reporting import chart
from genbalance.reporting.chart import LEFT, RIGHT, WIDTH, Series
from genbalance.reporting.text import tick

HEIGHT = 220


def test_a_scale_puts_its_ends_at_its_ends_and_equal_steps_apart():
    y = chart.y_axis(0, 10, HEIGHT)
    assert (y(0), y(10)) == (HEIGHT - chart.BOTTOM, chart.TOP)
    assert y(5) == pytest.approx((y(0) + y(10)) / 2)
    x = chart.along([0.1, 1, 10])
    assert x(1) - x(0.1) == pytest.approx(x(10) - x(1), abs=0.2)  # equal ratios on a logarithmic axis
    linear = chart.along([0, 1, 2])
    assert linear(1) - linear(0) == pytest.approx(linear(2) - linear(1), abs=0.2)


@pytest.mark.parametrize("values", [[3.0], [0.0], [2.0, 2.0], [-1.0, 4.0], [1e-9, 1e9], [0.0, 5.0]])
@pytest.mark.parametrize("log", [False, True])
def test_all_values_stand_within_the_chart_whatever_they_are(values, log):
    axis = chart.scale(values, LEFT, WIDTH - RIGHT, log)
    assert all(LEFT <= axis(value) <= WIDTH - RIGHT for value in values)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks(4))


@pytest.mark.parametrize(("low", "high"), [(1.1, 2.8), (1.0, 30.0), (0.3, 900.0), (0.0, 43.0)])
def test_an_axis_has_a_few_round_numbers(low, high):
    axis = chart.scale([low, high], LEFT, WIDTH - RIGHT, log=True)
    labels = [text for _, text in chart.tick_labels(axis)]
    assert 2 <= len(labels) <= 7
    assert all(len(text.strip("0.")) <= 3 for text in labels)


def test_labels_never_touch_and_the_ends_have_theirs():
    values = [0.1 * 1.2589254**step for step in range(21)]
    kept = chart.value_labels(values, chart.along(values))
    assert [kept[0][1], kept[-1][1]] == ["0.1", "10"]
    for (a, first), (b, second) in pairwise(kept):
        assert b - a > chart.LETTER * (len(first) + len(second)) / 2
    points = [(60 + 17.0 * step, 200 - 3.0 * step) for step in range(21)]
    texts = [tick(value, 3) for value in values]
    beside = chart.point_labels(points, texts)
    for (a, _, first), (b, _, _) in pairwise(beside):
        assert b - a > chart.LETTER * len(first)
    assert all(x + chart.LETTER * len(text) <= WIDTH for x, _, text in beside)
    assert len(chart.point_labels(points[::10], texts[::10])) == 3  # there is room


def test_the_cells_of_a_chart_cover_it_and_each_is_nearest_to_its_point():
    xs = [300.0, 90.0, 100.0, 400.0]
    cells = chart.cells(xs)
    assert sum(width for _, width in cells) == pytest.approx(WIDTH)
    for x, (start, width) in zip(xs, cells, strict=True):
        assert start <= x <= start + width
        assert all(abs(at - x) <= abs(at - other) for at in (start, start + width) for other in xs if 0 < at < WIDTH)


def test_a_series_is_drawn_through_its_means_with_its_runs_and_its_spread():
    x, y = chart.along([1, 10]), chart.y_axis(0, 8, HEIGHT)
    series = Series("a", "gan", [1, 10], [[1, 3], [4, 4, 7]], [(1, 3), (4, 6)])
    curve = chart.drawn(series, x, y)
    assert curve.points == ((x(1), y(2)), (x(10), y(5)))
    assert curve.dots == ((x(1), y(1)), (x(1), y(3)), (x(10), y(4)), (x(10), y(4)), (x(10), y(7)))
    assert curve.band == ((x(1), y(1)), (x(10), y(4)), (x(10), y(6)), (x(1), y(3)))
    assert curve.bars == ()
    barred = chart.drawn(Series("a", "gan", [1, 10], [[1, 3], [4, 4, 7]], [(1, 3), (4, 6)], banded=False), x, y)
    assert (barred.band, barred.bars) == ((), ((x(1), y(1), y(3)), (x(10), y(4), y(6))))


def test_bars_stand_on_the_axis_and_are_as_high_as_their_values():
    y = chart.y_axis(0, 4, HEIGHT)
    path = chart.bars([4.0, 2.0, 0.0], y)
    heights = [float(bar.split("V")[1].split("h")[0]) for bar in path.split("M")[1:]]
    assert heights == [y(4), y(2), y(0)]
    assert path.count("z") == 3
    assert chart.bars([], y) == ""
