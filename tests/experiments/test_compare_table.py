"""A comparison as a pandas table, and as the text that the terminal shows."""

import statistics

import pytest

from genbalance.experiments.compare import compare_groups
from genbalance.experiments.compare_table import WIDTH, as_text, table
from genbalance.reporting.spread import NOT_JUDGED, STANDS_OUT, WITHIN


def line(text, metric):
    found = [row for row in text.splitlines() if row.startswith(metric + " ")]
    assert len(found) == 1, text
    return found[0]


def cells(row):
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def first_table(text):
    return text.split("\n\n")[1].splitlines()


def test_the_header_says_what_is_compared_and_how(compared):
    head = compared("base-*", "beta4-*")[0].stdout.split("\n\n")[0].splitlines()
    assert head[0].startswith("a: base-*, seeds 1, 2, 3: base-1 (")
    assert head[1].startswith("b: beta4-*, seeds 1, 2, 3: beta4-1 (")
    assert "Paired by seed, with equal split and classifier" in head[2]
    assert "Student" in head[2]
    assert "g_av" in head[3]


def test_params_that_differ_and_the_number_of_seeds_stand_on_top_of_the_metrics(compared):
    rows = first_table(compared("base-*", "beta4-*")[0].stdout)
    assert cells(rows[0])[:3] == ["metric", "a: base-*", "b: beta4-*"]
    assert [cells(row) for row in rows[1:3]] == [["beta", "1.0", "4"], ["seeds", "3", "3"]]
    ends = {row.index(word) + len(word) for row, word in ((rows[0], "b: beta4-*"), (rows[1], " 4"), (rows[2], "  3"))}
    assert len(ends - {rows[2].index("  3") + 3}) == 1


def test_two_groups_have_the_numbers_of_the_json_file_beside_them(compared):
    result, written = compared("base-*", "beta4-*")
    found = written["metrics"]["evaluate_vae.nelbo"]["differences"]["beta4-*"]
    interval = f"[+{found['low']:.1f}, +{found['high']:.1f}]"
    expected = ["102.0 ± 2.0", "122.5 ± 1.8", "+20.5", interval, f"+{found['effect']:.2f}", STANDS_OUT]
    assert cells(line(result.stdout, "evaluate_vae.nelbo"))[1:] == expected
    assert line(result.stdout, "evaluate_vae.mse").endswith(WITHIN)


def test_the_columns_of_the_table_are_aligned(compared):
    rows = [
        row
        for row in first_table(compared("base-*", "beta4-*", "--all")[0].stdout)
        if not row.startswith(("beta", "seeds"))
    ]
    verdicts = {row.find(word) for row in rows for word in ("verdict", STANDS_OUT, WITHIN) if word in row}
    assert len(rows) == 3
    assert len(verdicts) == 1


def test_the_foot_says_over_what_holm_corrects_and_what_is_not_judged(compared):
    text = compared("base-*", "beta4-*", "--all")[0].stdout
    assert "Holm's correction over 2 metrics" in text
    assert "The same on both sides, so not judged:\n  evaluate_vae: n, own\n  train_classifier: test_accuracy" in text


def test_welch_is_told_where_seeds_differ(compared):
    text = compared("base-*", "beta4-1,beta4-3")[0].stdout
    assert "Welch" in text
    assert "g_av" not in text


def test_one_seed_is_named_and_not_judged(compared):
    text = compared("base-*", "main")[0].stdout
    assert line(text, "evaluate_vae.nelbo").endswith(NOT_JUDGED)
    assert "One side has one seed" in text
    assert "Holm" not in text


def test_groups_that_are_the_same_have_no_table(compared):
    text = compared("base-*", "base-1,base-2,base-3", "--all")[0].stdout
    assert "params that differ: none" in text
    assert "metric " not in text


def test_code_that_differs_is_shown(compared):
    assert "The code differs between runs (src)" in compared("base-*", "changed")[0].stdout
    assert "code" not in compared("base-*", "beta4-*")[0].stdout


def test_a_param_that_changes_what_measures_is_shown(group):
    a, b = (
        group(name, {"f.x": [1, 2, 3]}, params={"classifier.width": w, "beta": w}) for name, w in (("a", 1), ("b", 2))
    )
    text = as_text(compare_groups([a, b], every=True))
    assert "Params of the measurement differ (classifier.width)" in text
    assert "Paired by seed: " in text  # the judge is another one


def test_of_several_groups_a_mark_tells_the_verdict(group):
    a = group("one", {"f.x": [1.0, 2.0, 3.0], "f.y": [1.0, 2.0, 3.0]})
    b = group("two", {"f.x": [11.0, 12.1, 13.0], "f.y": [1.0, 2.0, 3.0]})
    c = group("three", {"f.x": [1.5, 1.8, 3.2], "f.y": [1.1, 2.0, 3.0]})
    d = group("four", {"f.x": [2.0], "f.y": [2.0]}, seeds=(1,))
    text = as_text(compare_groups([a, b, c, d], every=True))
    assert cells(first_table(text)[0]) == ["metric", "a: one", "b: two", "c: three", "d: four"]
    marks = {
        metric: [cell.lstrip("0123456789.± ") for cell in cells(line(text, metric))[1:]] for metric in ("f.x", "f.y")
    }
    assert marks == {"f.x": ["", "*", "", "?"], "f.y": ["", "=", "", "?"]}
    assert "*: stands out; no mark: within the spread; =: the same; ?: cannot be judged (one seed)" in text
    assert "b, c: Paired by seed" in text
    assert "d: One side has one seed" in text
    assert "Holm's correction over 3 metrics × groups, each against a (one)" in text


def test_many_groups_fit_into_a_terminal_each_beside_the_first(group):
    rng = range(12)
    metrics = {f"evaluate_gan.a_rather_long_metric_{i}": [100.0 + i, 200.5, 300.25] for i in range(3)}
    made = [
        group(f"beta={i}", {k: [x + i for x in v] for k, v in metrics.items()}, params={"beta": i * 10**i}) for i in rng
    ]
    blocks = [part.splitlines() for part in as_text(compare_groups(made, every=True)).split("\n\n")]
    tables = [block for block in blocks if block[0].startswith("metric")]
    assert len(tables) > 1
    assert max(len(row) for rows in tables for row in rows) <= WIDTH
    assert all(cells(rows[0])[1] == "a: beta=0" for rows in tables)
    compared = [name for rows in tables for name in cells(rows[0])[2:]]
    assert compared == [f"{letter}: beta={i}" for i, letter in enumerate("abcdefghijkl")][1:]


@pytest.mark.parametrize(("length", "titles"), [(5, ["95% interval", "g"]), (25, ["95% interval"]), (40, [])])
def test_statistics_for_which_there_is_no_room_are_not_shown(length, titles, group):
    metric = "f." + "x" * length
    a, b = (group(n * 20, {metric: v}) for n, v in (("a", [10000.01, 10000.02, 10000.04]), ("b", [1, 2, 3])))
    rows = first_table(as_text(compare_groups([a, b], every=True)))
    assert cells(rows[0])[4:] == [*titles, "verdict"]
    assert max(map(len, rows)) <= WIDTH
    assert rows[2].endswith(STANDS_OUT)


def test_a_long_name_is_cut_in_its_column_alone(group):
    a, b = (group(name * 40, {"f.x": values}) for name, values in (("x", [1, 2, 3]), ("y", [2, 2, 3])))
    text = as_text(compare_groups([a, b], every=True))
    assert f"a: {'x' * 40}, seeds" in text
    assert cells(first_table(text)[0])[1] == f"a: {'x' * 12}…"


def test_a_metric_that_one_run_lacks_is_shown(group):
    a = group("a", {"f.x": [1.0, 2.0, 3.0], "f.y": [1.0, None, 3.0]})
    found = compare_groups([a, group("b", {"f.x": [2.0, 2.0, 3.0], "f.y": [1.0, 1.0, 1.0]})], every=True)
    why = "some run measured them with other params or has no finite value, or its family was off"
    assert f"Left out, since {why}:\n  f: y" in as_text(found)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (
            [0.001, 0.0012, 0.0011],
            [0.002, 0.0022, 0.0024],
            ("0.00110 ± 0.00010", "0.00220 ± 0.00020", "+0.00110", "[+0.00067, +0.00153]"),
        ),
        (
            [183_000, 184_000, 185_500],
            [90_000, 91_000, 92_000],
            ("184,167 ± 1,258", "91,000 ± 1,000", "−93,167", "[−93,884, −92,450]"),
        ),
        ([-5.0, -5.5, -4.5], [-5.1, -5.303, -4.6], ("−5.00 ± 0.50", "−5.00 ± 0.36", "+0.00", "[−0.43, +0.42]")),
        ([100.0, 104.0, 102.0], [101.0, 105.01, 103.0], ("102.0 ± 2.0", "103.0 ± 2.0", "+1.003", "[+0.989, +1.018]")),
        ([512] * 3, [2048] * 3, ("512 ± 0", "2,048 ± 0", "+1,536", "[+1,536, +1,536]", "+∞")),
        ([1.0, 1.2, 1.1], [150.0, 250.0, 200.0], ("1.10 ± 0.10", "200 ± 50", "+199", "[+75, +323]")),
    ],
)
def test_numbers_have_the_digits_that_their_spread_leaves_them(a, b, expected, group):
    text = as_text(compare_groups([group("a", {"f.x": a}), group("b", {"f.x": b})], every=True))
    assert cells(line(text, "f.x"))[1 : 1 + len(expected)] == list(expected)


def test_a_run_without_spread_has_the_digits_of_the_others(group):
    a, b = group("a", {"f.x": [1.2345678]}, seeds=(1,)), group("b", {"f.x": [2.0, 2.2, 2.1]})
    assert cells(line(as_text(compare_groups([a, b], every=True)), "f.x"))[1:4] == ["1.23", "2.10 ± 0.10", "+0.87"]


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
