"""`genbalance seeds`: what the seed alone does."""

import json
import statistics

import pytest
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments import seeds
from genbalance.runtime.errors import UserError

FD, REAL, RARE = "evaluate_gan.fd_test", "evaluate_gan.recall_real", "evaluate_gan.class_share_min"
METRICS = {
    FD: (1.5, 1.0, 2.0),
    "evaluate_gan.recall": (0.8, 0.9, 0.7),
    REAL: (0.94, 0.95, 0.93),
    RARE: (0.08, 0.07, 0.09),
    "evaluate_gan.n": (1000, 1000, 1000),
    "evaluate_gan.vendi": (1.0, 2.0, 3.0),
    "evaluate_vae.nelbo": (109.0, 109.0, 109.0),
    "evaluate_vae.rate": (18.0, None, 17.0),
}


@pytest.fixture
def found(group, monkeypatch):
    monkeypatch.setattr(seeds, "find_group", lambda text: group(text, METRICS))
    return lambda every=False: seeds.find_spread("base-*", every)


def rows(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if " ± " in line}


def test_each_metric_that_differs_has_its_mean_deviation_and_range(found):
    shown = rows(seeds.as_text(found()))
    assert shown[FD] == ["1.50", "±", "0.50", "1.00", "2.00"]
    assert shown[RARE] == ["0.080", "±", "0.010", "0.070", "0.090"]
    assert list(shown).index(REAL) > list(shown).index(RARE)  # what real images score comes last


def test_headline_metrics_and_the_shares_of_classes_are_shown_and_with_all_every_one(found):
    assert "evaluate_gan.vendi" not in found().metrics
    assert found(every=True).metrics["evaluate_gan.vendi"] == (1.0, 2.0, 3.0)
    assert set(found(every=True).same) == {"evaluate_gan.n", "evaluate_vae.nelbo"}


def test_what_does_not_differ_or_is_not_everywhere_is_listed_apart(found):
    spread = found()
    assert spread.same == {"evaluate_vae.nelbo": 109.0}
    assert "evaluate_vae.rate" in spread.left_out
    head, foot = seeds.as_text(spread).split("metric", 1)
    assert head.startswith("base-*, seeds 1, 2, 3: base-*-1 (cccccccc), ")
    assert "The same in all runs:\n  evaluate_vae: nelbo 109\n" in foot
    assert "or its family was off:\n" in foot


def test_the_file_holds_every_runs_values(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    result = CliRunner().invoke(app, ["seeds", "base-*", "--all", "--json", str(tmp_path / "in/seeds.json")])
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "in/seeds.json").read_text())
    assert [run["name"] for run in kept["runs"]] == ["base-1", "base-2", "base-3"]
    own = kept["metrics"]["evaluate_vae.own"]
    assert own == {"values": [1, 2, 3], "mean": 2, "sd": statistics.stdev([1, 2, 3]), "least": 1, "largest": 3}
    assert kept["params"]["beta"] == 1.0
    assert list(kept["same"]) == ["evaluate_vae.n"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base-1", ["base-1: holds one run", "two seeds"]),
        ("base-1,beta4-2", ["seed alone", "beta (1.0 and 4)"]),
        ("base-*,twin", ["same seed, 2"]),
        ("bass-*", ["is no experiment"]),
    ],
)
def test_what_are_no_runs_over_seeds_is_refused_in_a_line(text, words, repository, monkeypatch):
    monkeypatch.chdir(repository)
    with pytest.raises(UserError) as caught:
        seeds.find_spread(text, every=False)
    assert len(str(caught.value).splitlines()) == 1
    assert all(word in str(caught.value) for word in words)


def test_a_file_that_cannot_be_written_is_one_line(found, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        seeds.save(found(), tmp_path / "file/seeds.json")
