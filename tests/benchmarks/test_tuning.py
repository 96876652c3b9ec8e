"""TPE against random search: the best value so far, the table over repeats, and the commands of what is missing."""

import shlex
from importlib.util import find_spec

import pytest
from committed import ROOT

from genbalance.experiments.tune import Trial, parse_arguments


def trials(*values):
    return [Trial("t", {}, None if value is None else (value,), "" if value else "nan") for value in values]


def test_the_best_so_far_never_rises_and_a_failed_trial_changes_nothing(load):
    best_so_far = load("tuning").best_so_far
    assert best_so_far(trials(None, 3.0, 5.0, None, 2.0)) == [float("inf"), 3.0, 3.0, 3.0, 2.0]


def test_the_table_tells_means_over_repeats_and_their_paired_difference(load):
    lines = load("tuning").as_text({"tpe": [[3.0] * 12 + [1.0] * 8, [5.0] * 20], "random": [[3.0] * 20, [5.0] * 20]})
    head, *rows = lines.splitlines()
    assert head.split()[:3] == ["after", "tpe", "random"]
    assert rows[0].split() == ["1", "trials", "4", "±", "1.4", "4", "±", "1.4", "+0", "±", "0"]
    # differences of −2 and 0: mean −1, and Student's t of one degree of freedom, 12.706, times √2 / √2
    assert rows[-1].split() == ["20", "trials", "3", "±", "2.8", "4", "±", "1.4", "-1", "±", "12.7"]


def test_each_command_is_one_that_tune_takes(load, monkeypatch):
    tuning = load("tuning")
    *words, target = shlex.split(tuning.command("random", 3))
    assert words[:4] == ["genbalance", "tune", "-n", "random-3"]
    options = list(zip(words[2::2], words[3::2], strict=True))
    monkeypatch.chdir(ROOT)
    given, params = parse_arguments(
        [value for option, value in options if option == "-S"],
        [value for option, value in options if option == "--metric"],
        *dict(options)["--sampler"].split(),
        int(dict(options)["--seed"]),
        targets=[target],
    )
    assert len(given.space) == len(tuning.SPACE)
    assert (params.vae.arch, given.targets) == ("mlp", ("train_vae",))


@pytest.mark.skipif(find_spec("optuna") is None, reason="no Optuna: pip install -r .ci/servers.txt")
def test_without_studies_it_prints_the_command_of_each(load, monkeypatch, tmp_path, capsys):
    tuning = load("tuning")
    monkeypatch.setattr("genbalance.experiments.tune.root", lambda: tmp_path)
    monkeypatch.setattr(tuning, "record", lambda *_: pytest.fail("nothing was measured"))
    tuning.main()
    assert capsys.readouterr().out.splitlines() == [
        tuning.command(sampler, seed) for seed in (1, 2, 3, 4, 5) for sampler in ("tpe", "random")
    ]
