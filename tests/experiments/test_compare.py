"""`genbalance compare`: groups of runs, their differences and verdicts, as the command prints them and by hand."""

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
from genbalance.experiments.compare import as_json, compare_groups, find_groups, split
from genbalance.experiments.compare_table import as_text
from genbalance.experiments.runs import Run
from genbalance.experiments.statistics import compare, holm
from genbalance.families.registry import family
from genbalance.reporting.headline import headline_places
from genbalance.reporting.spread import NOT_JUDGED, SAME, STANDS_OUT, WITHIN
from genbalance.runtime.errors import UserError

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)
NELBO = {"base": (100.0, 104.0, 102.0), "beta4": (120.5, 124.0, 123.0)}  # as in the repository of conftest.py


def verdicts(written, group="beta4-*"):
    return {name: metric["differences"][group]["verdict"] for name, metric in written["metrics"].items()}


def test_a_difference_that_stands_out_and_one_that_does_not(compared):
    result, written = compared("base-*", "beta4-*")
    assert result.exit_code == 0
    assert verdicts(written) == {"evaluate_vae.nelbo": STANDS_OUT, "evaluate_vae.mse": WITHIN}


def test_the_json_file_holds_what_scipy_finds(compared):
    _, written = compared("base-*", "beta4-*")
    reference = stats.ttest_rel(NELBO["beta4"], NELBO["base"])
    metric = written["metrics"]["evaluate_vae.nelbo"]
    assert metric["values"] == {"base-*": list(NELBO["base"]), "beta4-*": list(NELBO["beta4"])}
    found = metric["differences"]["beta4-*"]
    assert found["difference"] == pytest.approx(20.5)
    assert [found["low"], found["high"]] == pytest.approx(list(reference.confidence_interval(0.95)))
    assert found["p"] == pytest.approx(reference.pvalue)
    assert found["p_holm"] == pytest.approx(2 * reference.pvalue)
    assert found["verdict"] == STANDS_OUT
    assert written["compared_with"] == "base-*"
    assert {name: group["params"] for name, group in written["groups"].items()} == {
        "base-*": {"beta": 1.0},
        "beta4-*": {"beta": 4},
    }
    assert [run["seed"] for run in written["groups"]["beta4-*"]["runs"]] == list(SEEDS)
    assert written["paired"] == {"beta4-*": True}
    assert written["family"] == 2


def test_a_single_argument_compares_its_settings(compared):
    _, apart = compared("base-*", "beta4-*")
    _, split = compared("base-*,beta4-*")
    assert list(split["groups"]) == ["beta=1.0", "beta=4"]
    assert verdicts(split, "beta=4") == verdicts(apart)


def test_every_further_group_is_held_against_the_first(compared):
    _, written = compared("base-*", "beta4-*", "main")
    found = written["metrics"]["evaluate_vae.nelbo"]["differences"]
    assert list(found) == ["beta4-*", "main"]
    assert [found[name]["difference"] for name in found] == pytest.approx([20.5, 8.0])
    assert [found[name]["verdict"] for name in found] == [STANDS_OUT, NOT_JUDGED]
    assert written["paired"] == {"beta4-*": True, "main": False}
    assert "evaluate_vae.mse" in written["left_out"]  # main lacks it


def test_what_the_change_does_not_reach_is_neither_shown_nor_a_part_of_the_family(compared):
    _, written = compared("base-*", "beta4-*", "--all")
    assert set(written["metrics"]) == {"evaluate_vae.nelbo", "evaluate_vae.mse"}
    assert written["same"] == ["evaluate_vae.n", "evaluate_vae.own", "train_classifier.test_accuracy"]
    assert written["family"] == 2


def test_the_headline_metrics_are_shown_in_their_order_unless_all_are_wanted(compared):
    headline = [".".join(where) for where in headline_places(map(family, ("gan", "vae"))).values()]
    _, few = compared("base-*", "beta4-*")
    assert list(few["metrics"]) == [name for name in headline if name in few["metrics"]]
    assert sorted([*few["metrics"], *few["same"], *few["left_out"]]) == sorted(headline)
    assert compared("base-*", "beta4-*", "--all")[1]["left_out"] == []


def test_the_headline_metrics_of_a_family_that_no_run_has_are_not_listed(group):
    found = compare_groups([group(name, {"evaluate_vae.nelbo": [1.0, 2.0, 3.0]}) for name in "ab"], every=False)
    listed = {*found.metrics, *found.same, *found.left_out}
    assert "evaluate_vae.nll" in listed
    assert "train_classifier.test_accuracy" in listed
    assert not [name for name in listed if name.startswith("evaluate_gan.")]


def test_the_headline_metrics_of_a_family_that_some_runs_lack_are_left_out(group):
    """As where `families.*` differ."""
    vae = {"evaluate_vae.nelbo": [1.0, 2.0, 3.0]}
    runs = [group("both", vae | {"evaluate_gan.fd_test": [1.0, 2.0, 3.0]}), group("alone", vae)]
    found = compare_groups(runs, every=False)
    assert "evaluate_gan.fd_test" in found.left_out
    assert not [name for name in (*found.metrics, *found.same) if name.startswith("evaluate_gan.")]
    assert "its family was off" in as_text(found)


def test_other_seeds_are_not_paired(compared):
    _, written = compared("base-*", "beta4-1,beta4-3")
    reference = stats.ttest_ind(np.array(NELBO["beta4"])[[0, 2]], NELBO["base"], equal_var=False)
    assert written["paired"] == {"beta4-1,beta4-3": False}
    found = written["metrics"]["evaluate_vae.nelbo"]["differences"]["beta4-1,beta4-3"]
    assert found["p"] == pytest.approx(reference.pvalue)


@pytest.mark.parametrize(("a", "b"), [("main", "beta4-1"), ("base-*", "main"), ("main", "base-*")])
def test_one_seed_cannot_be_judged(a, b, compared):
    _, written = compared(a, b)
    metric = written["metrics"]["evaluate_vae.nelbo"]
    found = metric["differences"][b]
    assert found["verdict"] == NOT_JUDGED
    assert [found[key] for key in ("low", "high", "p", "p_holm", "effect")] == [None] * 5
    assert found["difference"] == pytest.approx(np.mean(metric["values"][b]) - np.mean(metric["values"][a]))
    assert written["family"] == 0


def test_equal_groups_are_the_same_all_over(compared):
    _, written = compared("base-*", "base-1,base-2,base-3", "--all")
    assert written["metrics"] == {}
    assert all(group["params"] == {} for group in written["groups"].values())


def test_code_that_differs_is_shown(compared):
    assert compared("base-*", "changed")[1]["code"] == ["src"]
    assert compared("base-*", "beta4-*")[1]["code"] == []


def test_what_is_refused_is_one_line_and_nothing_is_written(compared):
    result, written = compared("base-*", "bass-*")
    assert (result.exit_code, result.stdout, written) == (1, "", None)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_that_cannot_be_written_is_one_line(option, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["compare", "base-*", "beta4-*", option, str(tmp_path / "file/out")])
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_as_a_program_it_waits_for_nothing_that_draws_or_tracks_and_does_not_colour(repository):
    command = [sys.executable, "-X", "importtime", "-m", "genbalance", "compare", "base-*", "beta4-*"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "FORCE_COLOR": "1"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=True)
    loaded = {text.rpartition("|")[2].strip().partition(".")[0] for text in done.stderr.splitlines()}
    assert "pandas" in loaded
    assert not {"torch", "mlflow", "dvc", "matplotlib", "jinja2"} & loaded
    assert STANDS_OUT in done.stdout
    assert "\x1b" not in done.stdout


def test_holm_makes_a_difference_that_stands_alone_one_within_the_spread_of_many(group):
    rng = np.random.default_rng(0)
    a, b = [1.0, 2.0, 3.0], [2.5, 3.2, 4.6]
    alone = compare_groups([group("a", {"f.x": a}), group("b", {"f.x": b})], every=True)
    assert alone.contrasts[0].lines["f.x"].verdict == STANDS_OUT
    noise = {f"f.{i}": list(rng.normal(0, 1, 6)) for i in range(10)}
    one, other = ({"f.x": x} | {k: v[s] for k, v in noise.items()} for x, s in ((a, slice(3)), (b, slice(3, 6))))
    many = compare_groups([group("a", one), group("b", other)], every=True)
    lines = many.contrasts[0].lines
    assert lines["f.x"].verdict == WITHIN
    ps = [compare(np.array(one[name]), np.array(other[name]), paired=True).p for name in lines]
    assert [found.p_holm for found in lines.values()] == holm(ps)


def test_the_family_spans_every_metric_of_every_group(group):
    rng = np.random.default_rng(1)
    names = ("f.x", "f.y", "f.z")
    values = {name: {metric: list(rng.normal(0, 1, 3)) for metric in names} for name in "abcd"}
    values["d"]["f.z"] = values["a"]["f.z"]  # the same: no question, so no part of the family
    found = compare_groups([group(name, rows) for name, rows in values.items()], every=True)
    pairs = [(name, metric) for name in "bcd" for metric in names if (name, metric) != ("d", "f.z")]
    ps = [compare(np.array(values["a"][m]), np.array(values[name][m]), paired=True).p for name, m in pairs]
    lines = {contrast.group.name: contrast.lines for contrast in found.contrasts}
    assert [lines[name][metric].p_holm for name, metric in pairs] == holm(ps)
    assert found.judged == 8
    assert (lines["d"]["f.z"].verdict, lines["d"]["f.z"].p_holm) == (SAME, None)


def test_a_third_group_can_take_a_verdict_away(group):
    a, b = group("a", {"f.x": [1.0, 2.0, 3.0]}), group("b", {"f.x": [2.5, 3.0, 5.0]})
    c = group("c", {"f.x": [1.4, 1.7, 3.1]})
    assert compare_groups([a, b], every=True).contrasts[0].lines["f.x"].verdict == STANDS_OUT
    assert compare_groups([a, b, c], every=True).contrasts[0].lines["f.x"].verdict == WITHIN


def test_no_spread_and_a_difference_stands_out_with_an_effect_that_json_calls_null(group):
    found = compare_groups([group("a", {"f.size": [512] * 3}), group("b", {"f.size": [2048] * 3})], every=True)
    written = as_json(found)["metrics"]["f.size"]["differences"]["b"]
    assert (written["effect"], written["low"], written["high"], written["p"]) == (None, 1536, 1536, 0)
    assert math.isinf(found.contrasts[0].lines["f.size"].difference.effect)


def test_a_metric_that_one_run_lacks_is_left_out_for_all_groups(group):
    a = group("a", {"f.x": [1.0, 2.0, 3.0], "f.y": [1.0, None, 3.0]})
    b, c = (group(name, {"f.x": [2.0, 2.0, 3.0], "f.y": [1.0, 1.0, 1.0]}) for name in "bc")
    found = compare_groups([b, c, a], every=True)
    assert found.metrics == ("f.x",)
    assert found.left_out == ("f.y",)


def test_as_many_runs_are_no_pairs(group):
    a, b = group("a", {"f.x": [1, 2, 4]}, (1, 2, 3)), group("b", {"f.x": [1, 2, 4]}, (1, 2, 4))
    (found,) = compare_groups([a, b], every=True).contrasts
    assert not found.paired
    assert found.lines["f.x"].verdict == WITHIN


def test_without_pairs_only_one_value_all_over_is_the_same(group):
    a, b = group("a", {"f.x": [1, 2], "f.n": [5, 5]}, (1, 2)), group("b", {"f.x": [1, 2, 2], "f.n": [5] * 3})
    found = compare_groups([a, b], every=True)
    assert (found.metrics, found.same) == (("f.x",), ("f.n",))


@pytest.fixture(autouse=True)
def _here(repository, monkeypatch):
    monkeypatch.chdir(repository)


def run(seed, **params):
    return Run(f"r{seed}", "c" * 40, seed, {key.replace("__", "."): v for key, v in params.items()}, {"f.x": 1.0}, {})


def refusal(*texts):
    with pytest.raises(UserError) as caught:
        find_groups(texts)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_several_texts_are_a_group_each_in_their_order_with_runs_in_the_order_of_their_seeds():
    found = find_groups(["beta4-*", "base-3,base-1"])
    assert [group.name for group in found] == ["beta4-*", "base-3,base-1"]
    assert [group.seeds for group in found] == [(1, 2, 3), (1, 3)]


def test_a_single_text_is_split_into_its_settings_named_by_what_differs():
    found = find_groups(["base-*,beta4-*"])
    assert [(group.name, group.seeds) for group in found] == [("beta=1.0", (1, 2, 3)), ("beta=4", (1, 2, 3))]
    assert [run.name for run in found[1].runs] == ["beta4-1", "beta4-2", "beta4-3"]


def test_the_setting_of_the_commit_checked_out_comes_first():
    assert [group.name for group in find_groups(["base-*,beta4-*,main"])] == ["beta=2.0", "beta=1.0", "beta=4"]


def test_settings_are_ordered_by_their_numbers_and_not_by_their_spelling():
    runs = [run(1, beta=value, vae__arch=arch) for value in (10, 0.5, 2) for arch in ("mlp", "conv")]
    names = [group.name for group in split("all", runs)]
    assert names[:3] == ["beta=0.5, vae.arch=conv", "beta=0.5, vae.arch=mlp", "beta=2, vae.arch=conv"]
    assert names[-1] == "beta=10, vae.arch=mlp"


def test_one_and_one_point_zero_are_one_setting():
    assert [group.seeds for group in split("all", [run(1, beta=1), run(2, beta=1.0), run(1, beta=2)])] == [(1, 2), (1,)]


def test_a_param_that_one_setting_lacks_is_named_as_absent():
    assert [group.name for group in split("all", [run(1, beta=1), run(1)])] == ["beta=1", "beta=(absent)"]


def test_without_a_commit_to_check_out_the_least_value_comes_first(monkeypatch):
    monkeypatch.setattr(
        "genbalance.experiments.compare.read_settings", lambda name, commit: (_ for _ in ()).throw(UserError("none"))
    )
    assert [group.name for group in find_groups(["base-*,beta4-*,main"])] == ["beta=1.0", "beta=2.0", "beta=4"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["base-*"], ["base-*", "one setting", "second group"]),
        (["base-*,twin,beta4-1"], ["beta=1.0", "base-2 and twin have the same seed, 2"]),
        (["base-*", "beta4-*", "base-*"], ["base-*: is there twice"]),
        (["bass-*"], ["'bass-*'", "beta4-3"]),
    ],
)
def test_what_holds_no_two_groups_is_refused_in_a_line(texts, words):
    assert all(word in refusal(*texts) for word in words), refusal(*texts)


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
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_group_is_refused_wherever_it_stands(text, words, place):
    texts = ["beta4-*", "base-*"]
    texts.insert(place, text)
    assert all(word in refusal(*texts) for word in words)
