"""`genbalance compare` on a small repository with experiments, and what it says of groups made by hand."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.commands.compare import NOT_JUDGED, STANDS_OUT, WITHIN, Group, as_json, compare_groups
from genbalance.commands.compare_table import as_text
from genbalance.evaluation.comparison import compare, holm
from genbalance.experiments import Run
from genbalance.reporting.headline import HEADLINE

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)
NELBO = {"base": (100.0, 104.0, 102.0), "beta4": (120.5, 124.0, 123.0)}  # far apart, paired or not
MSE = {"base": (0.02, 0.03, 0.01), "beta4": (0.03, 0.01, 0.02)}  # nothing but spread


def commit(ref, params, metrics, clock, code="1"):
    """A stream for git fast-import; metrics by file."""
    files = {"params.yaml": params, "src/a.py": code}
    files |= {f"metrics/{name}.json": json.dumps(values) for name, values in metrics.items()}
    lines = [f"commit {ref}\ncommitter a <a@example.org> {clock} +0000\ndata 1\nm\ndeleteall\n"]
    lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
    return "".join(lines)


def experiment(name):
    return f"refs/exps/0a/{'1' * 38}/{name}"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """base-1 … base-3, beta4-1 … beta4-3 and odd ones; `main` is a run of seed 1."""
    path, stream = tmp_path_factory.mktemp("repository"), []
    for name, beta in (("base", 1.0), ("beta4", 4)):
        for i, seed in enumerate(SEEDS):
            params = f"beta: {beta}\nseed: {seed}\nvae: {{width: 16}}\ntracking: {{experiment: {name}{seed}}}\n"
            vae = {"nelbo": NELBO[name][i], "mse": MSE[name][i], "n": 1000, "own": seed, "ci95": {"nelbo": 1}}
            metrics = {"evaluate_vae": vae, "train_classifier": {"test_accuracy": 0.9 + seed / 100}}
            stream.append(commit(experiment(f"{name}-{seed}"), params, metrics, 1_700_000_000))
    one = {"evaluate_vae": {"nelbo": 110.0, "active_units": 8}}
    stream += [
        commit(experiment("twin"), "beta: 1.0\nseed: 2\nvae: {width: 16}", one, 1_700_000_000),
        commit(experiment("wide"), "beta: 1.0\nseed: 4\nvae: {width: 32, depth: 2}", one, 1_700_000_000),
        commit(experiment("changed"), "beta: 1.0\nseed: 4\nvae: {width: 16}", one, 1_700_000_000, code="2"),
        commit("refs/heads/main", "beta: 2.0\nseed: 1\nvae: {width: 16}", one, 1_700_000_000),
    ]
    for arguments, text in ((["init", "-q", "-b", "main"], ""), (["fast-import", "--quiet"], "".join(stream))):
        subprocess.run(["git", *arguments], cwd=path, input=text, check=True, capture_output=True, text=True)
    return path


@pytest.fixture
def told(repository, tmp_path, monkeypatch):
    """Runs the command and returns its result, and what it wrote as JSON."""

    def run(*arguments):
        monkeypatch.chdir(repository)
        out = tmp_path / "folder/out.json"
        result = CliRunner().invoke(app, ["compare", *arguments, "--json", str(out)])
        return result, json.loads(out.read_text()) if out.exists() else None

    return run


def line(result, metric):
    found = [text for text in result.stdout.splitlines() if text.startswith(metric + " ")]
    assert len(found) == 1, result.stdout
    return found[0]


def group(text, metrics, seeds=SEEDS, params=None):
    """A group by hand: metric → a value for each seed, or None where a run has none."""
    rows = [{name: float(v[i]) for name, v in metrics.items() if v[i] is not None} for i in range(len(seeds))]
    runs = (Run(f"{text}-{s}", "c" * 40, s, params or {}, row, {}) for s, row in zip(seeds, rows, strict=True))
    return Group(text, tuple(runs))


def test_a_difference_that_stands_out_and_one_that_does_not(told):
    result, _ = told("base-*", "beta4-*")
    assert result.exit_code == 0
    assert line(result, "evaluate_vae.nelbo").endswith(STANDS_OUT)
    assert line(result, "evaluate_vae.mse").endswith(WITHIN)


def test_the_header_says_what_is_compared_and_how(told):
    head = told("base-*", "beta4-*")[0].stdout.split("\n\n")[0].splitlines()
    assert head[0].startswith("a: base-*, seeds 1, 2, 3: base-1 (")
    assert head[1].startswith("b: beta4-*, seeds 1, 2, 3: beta4-1 (")
    assert head[2] == "params that differ: beta: 1.0 → 4"
    assert "Paired by seed" in head[3]
    assert "Student" in head[3]
    assert "g_av" in head[4]


def test_the_json_file_holds_what_scipy_finds(told):
    _, written = told("base-*", "beta4-*")
    reference = stats.ttest_rel(NELBO["beta4"], NELBO["base"])
    found = written["metrics"]["evaluate_vae.nelbo"]
    assert found["a"] == list(NELBO["base"])
    assert found["b"] == list(NELBO["beta4"])
    assert found["difference"] == pytest.approx(20.5)
    assert [found["low"], found["high"]] == pytest.approx(list(reference.confidence_interval(0.95)))
    assert found["p"] == pytest.approx(reference.pvalue)
    assert found["p_holm"] == pytest.approx(2 * reference.pvalue)
    assert found["verdict"] == STANDS_OUT
    assert written["params"] == {"beta": {"a": 1.0, "b": 4}}
    assert [run["seed"] for run in written["b"]["runs"]] == list(SEEDS)
    assert written["paired"] is True


def test_the_table_shows_the_numbers_of_the_json_file(told):
    result, written = told("base-*", "beta4-*")
    found = written["metrics"]["evaluate_vae.nelbo"]
    cells = [cell.strip() for cell in line(result, "evaluate_vae.nelbo").split("  ") if cell]
    interval = f"[+{found['low']:.1f}, +{found['high']:.1f}]"
    assert cells[1:5] == ["102.0 ± 2.0", "122.5 ± 1.8", "+20.5", interval]
    assert cells[5] == f"+{found['effect']:.2f}"


def test_the_columns_of_the_table_are_aligned(told):
    table = told("base-*", "beta4-*", "--all")[0].stdout.split("\n\n")[1].splitlines()
    verdicts = {row.find(word) for row in table for word in ("verdict", STANDS_OUT, WITHIN) if word in row}
    assert len(table) == 3
    assert len(verdicts) == 1


def test_what_the_change_does_not_reach_is_neither_shown_nor_a_part_of_the_family(told):
    result, written = told("base-*", "beta4-*", "--all")
    assert set(written["metrics"]) == {"evaluate_vae.nelbo", "evaluate_vae.mse"}
    assert written["same"] == ["evaluate_vae.n", "evaluate_vae.own", "train_classifier.test_accuracy"]
    assert "over 2 metrics" in result.stdout
    assert "  evaluate_vae: n, own\n  train_classifier: test_accuracy" in result.stdout


def test_the_headline_metrics_are_shown_in_their_order_unless_all_are_wanted(told):
    headline = [".".join(where) for where in HEADLINE.values()]
    _, few = told("base-*", "beta4-*")
    assert list(few["metrics"]) == [name for name in headline if name in few["metrics"]]
    assert sorted([*few["metrics"], *few["same"], *few["left_out"]]) == sorted(headline)
    assert told("base-*", "beta4-*", "--all")[1]["left_out"] == []


def test_other_seeds_are_not_paired(told):
    result, written = told("base-*", "beta4-1,beta4-3")
    reference = stats.ttest_ind(np.array(NELBO["beta4"])[[0, 2]], NELBO["base"], equal_var=False)
    assert written["paired"] is False
    assert written["metrics"]["evaluate_vae.nelbo"]["p"] == pytest.approx(reference.pvalue)
    assert "Welch" in result.stdout
    assert "g_av" not in result.stdout


@pytest.mark.parametrize(("a", "b"), [("main", "beta4-1"), ("base-*", "main"), ("main", "base-*")])
def test_one_seed_cannot_be_judged(a, b, told):
    result, written = told(a, b)
    found = written["metrics"]["evaluate_vae.nelbo"]
    assert line(result, "evaluate_vae.nelbo").endswith(NOT_JUDGED)
    assert [found[key] for key in ("low", "high", "p", "p_holm", "effect")] == [None] * 5
    assert found["difference"] == pytest.approx(np.mean(found["b"]) - np.mean(found["a"]))
    assert "One seed on a side" in result.stdout
    assert "Holm" not in result.stdout


def test_a_group_against_itself_is_the_same_all_over(told):
    result, written = told("base-*", "base-*", "--all")
    assert written["metrics"] == {}
    assert "params that differ: none" in result.stdout
    assert "metric " not in result.stdout


def test_code_that_differs_is_told(told):
    assert "The code differs between runs (src)" in told("base-*", "changed")[0].stdout
    assert told("base-*", "changed")[1]["code"] == ["src"]
    assert "code" not in told("base-*", "beta4-*")[0].stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base-*,main", ["base-1 and main have the same seed, 1"]),
        ("base-*,twin", ["base-2 and twin have the same seed, 2"]),
        ("base-1,beta4-2", ["beta (1.0 and 4)"]),
        ("base-1,wide", ["vae.width (16 and 32)", "vae.depth ((absent) and 2)"]),
        ("bass-*", ["'bass-*'", "experiments: ", "beta4-3"]),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_no_group_is_refused_in_a_line(text, words, side, told):
    result, written = told(*(("base-*", text) if side else (text, "base-*")))
    assert (result.exit_code, result.stdout, written) == (1, "", None)
    assert len(result.stderr.splitlines()) == 1
    assert all(word in result.stderr for word in words), result.stderr


def test_a_file_that_cannot_be_written_is_told_in_a_line(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["compare", "base-*", "beta4-*", "--json", str(tmp_path / "file/out.json")])
    assert result.exit_code == 1
    assert "out.json: cannot be written" in result.stderr


def test_as_a_program_it_neither_waits_for_torch_nor_colours(repository):
    command = [sys.executable, "-X", "importtime", "-m", "genbalance", "compare", "base-*", "beta4-*"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "FORCE_COLOR": "1"}
    told = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=True)
    loaded = {text.rpartition("|")[2].strip().partition(".")[0] for text in told.stderr.splitlines()}
    assert "scipy" in loaded
    assert not {"torch", "mlflow", "pandas"} & loaded
    assert STANDS_OUT in told.stdout
    assert "\x1b" not in told.stdout


def test_holm_makes_a_difference_that_stands_alone_one_within_the_spread_of_many():
    rng = np.random.default_rng(0)
    a, b = [1.0, 2.0, 3.0], [2.5, 3.2, 4.6]
    alone = compare_groups(group("a", {"f.x": a}), group("b", {"f.x": b}), every=True)
    assert alone.lines["f.x"].verdict == STANDS_OUT
    noise = {f"f.{i}": list(rng.normal(0, 1, 6)) for i in range(10)}
    one, other = ({"f.x": x} | {k: v[s] for k, v in noise.items()} for x, s in ((a, slice(3)), (b, slice(3, 6))))
    many = compare_groups(group("a", one), group("b", other), every=True)
    assert many.lines["f.x"].verdict == WITHIN
    ps = [compare(np.array(one[name]), np.array(other[name]), paired=True).p for name in many.lines]
    assert [found.p_holm for found in many.lines.values()] == holm(ps)


def test_no_spread_and_a_difference_stands_out_with_an_effect_that_json_calls_null():
    found = compare_groups(group("a", {"f.size": [512] * 3}), group("b", {"f.size": [2048] * 3}), every=True)
    cells = as_text(found).split("\n\n")[1].splitlines()[1].split("  ")
    assert [cell.strip() for cell in cells if cell] == [
        *("f.size", "512 ± 0", "2,048 ± 0", "+1,536", "[+1,536, +1,536]", "+∞", STANDS_OUT),
    ]
    written = as_json(found)["metrics"]["f.size"]
    assert (written["effect"], written["low"], written["high"], written["p"]) == (None, 1536, 1536, 0)
    assert math.isinf(found.lines["f.size"].difference.effect)


def test_a_metric_that_one_run_lacks_is_left_out_and_told():
    a = group("a", {"f.x": [1.0, 2.0, 3.0], "f.y": [1.0, None, 3.0]})
    found = compare_groups(a, group("b", {"f.x": [2.0, 2.0, 3.0], "f.y": [1.0, 1.0, 1.0]}), every=True)
    assert list(found.lines) == ["f.x"]
    assert found.left_out == ("f.y",)
    assert "Left out, not a finite number in every run:\n  f: y" in as_text(found)


def test_as_many_runs_are_no_pairs():
    a, b = group("a", {"f.x": [1, 2, 4]}, (1, 2, 3)), group("b", {"f.x": [1, 2, 4]}, (1, 2, 4))
    found = compare_groups(a, b, every=True)
    assert not found.paired
    assert found.lines["f.x"].verdict == WITHIN


def test_without_pairs_only_one_value_all_over_is_the_same():
    a, b = group("a", {"f.x": [1, 2], "f.n": [5, 5]}, (1, 2)), group("b", {"f.x": [1, 2, 2], "f.n": [5] * 3})
    found = compare_groups(a, b, every=True)
    assert (list(found.lines), found.same) == (["f.x"], ("f.n",))


def test_a_param_that_changes_what_measures_is_told():
    a, b = (
        group(name, {"f.x": [1, 2, 3]}, params={"classifier.width": w, "beta": w}) for name, w in (("a", 1), ("b", 2))
    )
    assert "classifier.width: also what measures differs" in as_text(compare_groups(a, b, every=True))


@pytest.mark.parametrize(
    ("a", "b", "cells"),
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
    ],
)
def test_numbers_have_the_digits_that_their_spread_leaves_them(a, b, cells):
    text = as_text(compare_groups(group("a", {"f.x": a}), group("b", {"f.x": b}), every=True))
    row = text.split("\n\n")[1].splitlines()[1]
    assert [cell.strip() for cell in row.split("  ") if cell][1:5] == list(cells)
