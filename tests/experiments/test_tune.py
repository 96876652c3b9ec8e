"""`genbalance tune`: ranges and choices, draws, the Pareto front, and studies through real git and DVC, also killed.

A trial is a stage of a few lines, without torch and MLflow, that diverges where β is above 5.
"""

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import accumulate, islice
from pathlib import Path
from statistics import median

import pytest
from committed import ROOT
from signals import LIMIT, hears_all
from small_repository import call, environment, genbalance, toy_repository

from genbalance.experiments import tune
from genbalance.experiments.tune import Arguments, Choices, Range, Trial, as_setting, parse_axis
from genbalance.params import parse_yaml, read_params
from genbalance.reporting.front import Metric
from genbalance.runtime.errors import UserError

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="no Optuna: pip install -r .ci/servers.txt")

STAGE = """\
import json, os, re, sys
from pathlib import Path
text = Path("params.yaml").read_text()
beta = float(re.search(r"(?m)^beta: (\\S+)", text)[1])
with open(os.environ["RUNS"], "a") as runs:
    runs.write(f"{beta}\\n")
if gate := os.environ.get("GATE"):
    Path(gate, "began").write_text(f"{os.getpid()}\\n")
    open(Path(gate, "go")).readline()
if curves := os.environ.get("GENBALANCE_CURVES"):
    with open(curves, "a") as file:
        print(json.dumps({"stage": "train_vae", "step": 1, "values": {"val_rate": beta}}), file=file)
    open(Path(gate, "go")).readline()
if beta > 5:
    print("train_vae: diverged", file=sys.stderr)
    sys.exit(1)
Path("metrics/evaluate_vae.json").write_text(json.dumps({"fd_test": beta + 1 / beta, "rate": -beta}))
"""
PIPELINE = """\
stages:
  train_vae:
    cmd: python train.py
    params: [beta, seed, vae]
    plots: [{metrics/evaluate_vae.json: {cache: false}}]
"""
FD = Metric("evaluate_vae.fd_test", maximise=False)
BETA = {"beta": Range(0.1, 10, log=True)}
EVERY = {
    "beta": Range(0.1, 10, log=True),
    "vae.free_bits": Range(0, 1.23456, log=False),
    "vae.epochs": Range(5, 50, log=True, whole=True),
    "vae.kl_warmup": Range(0, 5, log=False, whole=True),
    "vae.arch": Choices(("mlp", "conv")),
}


def arguments(space=BETA, metrics=(FD,), sampler="tpe", seed=0, fixed=()):
    return Arguments(space, fixed, metrics, sampler, seed)


def drawn(given, count, worth=lambda values: values["beta"]):
    """The trials of a study whose metric is ``worth``."""
    trials = []
    for number in range(count):
        values = tune.draw(given, trials)
        trials.append(Trial(f"t-{number + 1:03d}", values, tuple(worth(values) for _ in given.metrics)))
    return trials


# Ranges and choices


@pytest.mark.parametrize(
    ("key", "text", "axis"),
    [
        ("beta", "0.1..10", Range(0.1, 10, log=True)),
        ("beta", "0.1..10:linear", Range(0.1, 10, log=False)),
        ("beta", "0..10", Range(0, 10, log=False)),
        ("beta", ".5..1e+1", Range(0.5, 10, log=True)),
        ("vae.learning_rate", "5e-4..1E-2:log", Range(0.0005, 0.01, log=True)),
        ("vae.target_distortion", "-5..-1.5", Range(-5, -1.5, log=False)),
        ("vae.epochs", "5..50", Range(5, 50, log=True, whole=True)),
        ("vae.kl_warmup", "0..5", Range(0, 5, log=False, whole=True)),
        ("data.limit", "100..1000", Range(100, 1000, log=True, whole=True)),
        ("vae.arch", "mlp,conv", Choices(("mlp", "conv"))),
        ("vae.latents", "2,8,32", Choices(("2", "8", "32"))),
        ("vae.beta_range", "none,[0.1,10],[0.5, 2]", Choices(("none", "[0.1,10]", "[0.5, 2]"))),
        ("data.path", "'a,b',c", Choices(("'a,b'", "c"))),
        ("vae.arch", "mlp", None),
        ("vae.beta_range", "[0.1,10]", None),
        ("data.path", "../images", None),
        ("data.path", "a..b", None),
        ("beta", "1..5.", None),
        ("beta", "1..5:cubic", None),
        ("beta", "1..5..9", None),
    ],
)
def test_a_range_choices_or_one_value_is_read(key, text, axis):
    assert parse_axis(key, text) == axis
    if axis:
        assert parse_axis(key, str(axis)) == axis


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("beta", "5..1", "the lower end is not below"),
        ("beta", "1..1.0", "the lower end is not below"),
        ("beta", "0..1:log", "0 has no logarithm"),
        ("vae.arch", "1..2", "vae.arch takes no range; allowed: mlp | conv | ladder | nvae"),
        ("vae.beta_range", "1..2", "vae.beta_range takes no range"),
        ("vae.arch", "mlp,conv,mlp", "has a value twice"),
    ],
)
def test_what_is_neither_is_refused_in_a_line_that_names_it(key, text, message):
    with pytest.raises(UserError) as caught:
        parse_axis(key, text)
    assert str(caught.value).startswith(f"-S {key}={text}: {message}")
    assert "\n" not in str(caught.value)


def test_a_drawn_number_is_within_its_range_has_four_digits_and_is_read_again_as_itself():
    generator = random.Random(0)
    for _ in range(300):
        low, high = sorted(10 ** generator.uniform(-6, 6) * generator.choice((-1, 1)) for _ in range(2))
        axis = Range(float(f"{low:.9g}"), float(f"{high:.9g}"), log=False)
        value = generator.uniform(axis.low, axis.high)
        typed = axis.typed(value)
        assert axis.low <= typed <= axis.high
        assert typed == pytest.approx(value, rel=0.0005)
        assert axis.typed(typed) == typed
        assert parse_yaml(as_setting(typed), "") == typed
        assert typed in (axis.low, axis.high) or float(f"{typed:.4g}") == typed


def test_a_number_is_not_rounded_beyond_its_range():
    assert Range(0.12344, 0.2, log=True).typed(0.123441) == 0.12344
    assert Range(0.1, 0.98765432, log=True).typed(0.98765431) == 0.98765432
    assert Range(1, 99_999, log=True, whole=True).typed(12_345) == 12_345


# Draws


@needs_optuna
@pytest.mark.parametrize("sampler", tune.SAMPLERS)
def test_equal_seeds_draw_equal_values_and_others_others(sampler):
    def study(seed):
        given = arguments(EVERY, sampler=sampler, seed=seed)
        return [trial.drawn for trial in drawn(given, 13)]  # the first ten of tpe are random

    first = study(0)
    assert study(0) == first
    assert all(other != values for other, values in zip(study(1), first, strict=True))
    for key, axis in EVERY.items():
        values = [trial[key] for trial in first]
        assert len(set(values)) > 1
        if isinstance(axis, Choices):
            assert set(values) == set(axis.ends)
        else:
            assert all(axis.low <= value <= axis.high for value in values)
            assert all(isinstance(value, int) for value in values) == axis.whole


@needs_optuna
def test_tpe_alone_follows_the_trials_before():
    """Random search draws the same, whatever they were worth."""

    def betas(sampler, sign):
        trials = drawn(arguments(sampler=sampler, seed=3), 16, lambda values: sign * values["beta"])
        return [trial.drawn["beta"] for trial in trials[10:]]

    assert betas("random", 1) == betas("random", -1)
    assert median(betas("tpe", 1)) < 0.3 < 3 < median(betas("tpe", -1))


@needs_optuna
def test_failed_trials_and_several_metrics_are_drawn_after():
    given = arguments(metrics=(FD, Metric("evaluate_vae.rate", maximise=True)))
    trials = drawn(given, 12)
    trials[3] = replace(trials[3], values=None, failure="train_vae: diverged")
    assert 0.1 <= tune.draw(given, trials)["beta"] <= 10


# The table


def trial(number, beta, *values, failure=""):
    return Trial(f"t-{number:03d}", {"beta": beta, "data.size": "[8,8]"}, values or None, failure)


def test_the_table_is_best_first_with_the_failed_ones_last_and_the_best_one_s_command():
    given = arguments(BETA | {"data.size": Choices(("[8,8]", "28"))}, fixed=("data.path=a b",))
    trials = [trial(1, 2.5, 2.0), trial(2, 9.0, failure="train_vae: diverged"), trial(3, 1e-05, 1.5), trial(4, 4, 1.5)]
    assert tune.as_text("t", given, trials).splitlines() == [
        "t: 4 trials, 1 of them failed; sampler tpe, seed 0",
        "evaluate_vae.fd_test (lower is better)",
        "",
        "trial   beta  data.size  evaluate_vae.fd_test",
        "t-003  1e-05      [8,8]                   1.5",
        "t-004      4      [8,8]                   1.5",
        "t-001    2.5      [8,8]                     2",
        "t-002      9      [8,8]                failed",
        "",
        "t-002 failed: train_vae: diverged",
        "",
        "The best, t-003; `dvc exp apply TRIAL` brings a trial's results here. To run it again:",
        "  dvc exp run --temp -S 'data.path=a b' -S beta=1e-05 -S 'data.size=[8,8]'",
    ]


def test_the_table_of_several_metrics_stars_the_pareto_front():
    given = arguments(metrics=(FD, Metric("evaluate_vae.recall", maximise=True)))
    rows = [(1.0, 0.5), (2.0, 0.5), (3.0, 0.9)]
    trials = [Trial(f"t-{n}", {"beta": float(n)}, row) for n, row in enumerate(rows)]
    lines = tune.as_text("t", given, trials).splitlines()
    assert [line.split()[:2] for line in lines[4:7]] == [["t-0", "*"], ["t-2", "*"], ["t-1", "1"]]
    assert [line for line in lines if line.startswith("  dvc")] == [
        "  dvc exp run --temp -S beta=0",
        "  dvc exp run --temp -S beta=2",
    ]


def test_a_study_without_a_trial_that_ended_well_has_no_best():
    text = tune.as_text("t", arguments(), [Trial("t-001", {"beta": 9.0}, None, "train_vae: diverged")])
    assert "best" not in text
    assert "t-001 failed: train_vae: diverged" in text


def test_what_a_study_is_made_with_is_stored_and_read_again():
    given = arguments(EVERY, (FD, Metric("evaluate_vae.rate", maximise=True)), "random", 7, ("vae.prior=normal",))
    given = replace(given, targets=("train_vae", "evaluate@vae"))
    assert Arguments.of_json(json.loads(json.dumps(given.as_json()))) == given


# Through git and DVC


@pytest.fixture(scope="module")
def committed_run(tmp_path_factory):
    """A repository with a run of the stage. Not to be written to: tests get copies."""
    place = tmp_path_factory.mktemp("tuned") / "repository"
    return toy_repository(place, {"train.py": STAGE, "dvc.yaml": PIPELINE}, "/tune/")


@pytest.fixture
def repository(committed_run, tmp_path):
    return Path(shutil.copytree(committed_run, tmp_path / "repository"))


def experiments(repository):
    listed = call(repository, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
    return sorted(line.rpartition("/")[2] for line in listed.splitlines() if re.search(r"-\d{3}$", line))


ONE = ["-S", "beta=0.5..10", "--metric", "evaluate_vae.fd_test"]


@needs_optuna
def test_a_study_of_three_trials_is_experiments_and_a_table(repository, tmp_path):
    """One diverges; the command anew runs nothing; without its store it takes the experiments that it finds."""
    runs = tmp_path / "runs"
    command = ["tune", "-n", "fd", *ONE, "--trials", "3", "--seed", "3"]
    printed = genbalance(repository, *command, RUNS=str(runs))
    betas = [float(line) for line in runs.read_text().splitlines()]
    expected = drawn(arguments({"beta": Range(0.5, 10, log=True)}, seed=3), 3)
    assert betas == [each.drawn["beta"] for each in expected]
    well = [beta for beta in betas if beta <= 5]
    assert len(well) == 2
    assert experiments(repository) == [f"fd-{n:03d}" for n, beta in enumerate(betas, start=1) if beta <= 5]
    assert not call(repository, "git", "status", "--porcelain")
    for n, beta in enumerate(betas, start=1):
        name = f"fd-{n:03d}"
        assert re.search(rf"tune: {n}/3  {name}  beta={beta:g}  .* left\n", printed)
        assert re.search(rf"\n{name} +{beta:g} +{f'{beta + 1 / beta:.4g}' if beta <= 5 else 'failed'}\n", printed)
        if beta > 5:
            assert f"\n{name} failed: train_vae: diverged\n" in printed
    best = min(well, key=lambda beta: beta + 1 / beta)
    assert printed.endswith(f"\n  dvc exp run --temp -S beta={best:g}\n")
    table = printed[printed.index("fd: 3 trials") :]
    assert genbalance(repository, *command, RUNS="") == table
    assert genbalance(repository, "tune", "-n", "fd", "--show") == table

    other = genbalance(repository, *command, "--sampler", "random", "-S", "vae.epochs=9", succeeds=False)
    before = read_params(repository / "params.yaml").vae.epochs
    assert f"was begun with --sampler tpe (now random), vae.epochs {before} (now 9); give another name" in other
    assert len(other.splitlines()) == 1

    shutil.rmtree(repository / "tune")
    command[command.index("--trials") + 1] = "1"
    assert "tune: 1/1  fd-001" in genbalance(repository, *command, RUNS="")  # a stage would fail
    shutil.rmtree(repository / "tune")
    refused = genbalance(repository, *command[:-1], "5", RUNS="", succeeds=False)
    assert re.search(r"fd-001: is an experiment already, with beta = .* and not .*; give another name", refused)


@needs_optuna
def test_with_targets_a_trial_runs_their_stages_alone_and_its_command_all(tmp_path):
    """A target that DVC does not know is refused, and so is one without the metric's stage."""
    later = "cmd: sh later.sh\n    deps: [metrics/evaluate_vae.json]\n    plots: [{metrics/later.json: {cache: false}}]"
    pipeline = f"{PIPELINE.replace('train_vae', 'evaluate_vae')}  report:\n    {later}\n"
    script = "echo later >> $RUNS\necho '{}' > metrics/later.json\n"
    files = {"train.py": STAGE, "later.sh": script, "dvc.yaml": pipeline}
    repository = toy_repository(tmp_path / "repository", files, "/tune/")
    runs = tmp_path / "runs"
    command = ["tune", "-n", "fd", "-S", "beta=2,3", "--metric", "evaluate_vae.fd_test", "--trials", "1"]
    printed = genbalance(repository, *command, "evaluate_vae", RUNS=str(runs))
    (beta,) = map(float, runs.read_text().splitlines())
    assert printed.endswith(f"To run the other stages too:\n  dvc exp run --temp -S beta={beta:g}\n")
    call(repository, "dvc", "exp", "run", "--temp", "-S", f"beta={beta:g}", RUNS=str(runs))
    assert runs.read_text().splitlines() == [f"{beta}", "later"]

    assert "was begun with targets evaluate_vae (now absent)" in genbalance(repository, *command, succeeds=False)
    other = genbalance(repository, *command, "evaluate", succeeds=False)
    assert other == "Stage 'evaluate' not found inside 'dvc.yaml' file\n"
    script = (repository / "dvc.yaml").read_text().replace("deps: [metrics/evaluate_vae.json]", "deps: [later.sh]")
    (repository / "dvc.yaml").write_text(script)
    refused = genbalance(repository, *command, "report", succeeds=False)
    assert refused == (
        "--metric evaluate_vae.fd_test: evaluate_vae is none of the stages that report needs; "
        "allowed: report, or further targets\n"
    )


def started(repository, *command, **variables):
    own = environment() | variables | {"PYTHONPATH": str(ROOT / "src")}
    program = [sys.executable, "-m", "genbalance", *command]
    return subprocess.Popen(program, cwd=repository, env=own, stderr=-1, stdout=-1, text=True, preexec_fn=hears_all)


@needs_optuna
def test_a_study_that_was_interrupted_and_killed_has_each_trial_once(repository, tmp_path, gate):
    """Ctrl-C ends the trial, which is run again. SIGKILL leaves it running: the command anew waits for its experiment
    and takes it."""
    runs = tmp_path / "runs"
    held = {"RUNS": str(runs), "GATE": str(tmp_path)}
    command = ["tune", "-n", "k", *ONE, "--metric", "evaluate_vae.rate:max", "--trials", "2", "--seed", "0"]

    first = started(repository, *command, **held)
    gate.begun(first)
    first.send_signal(signal.SIGINT)
    assert first.communicate(timeout=LIMIT)[1].splitlines()[1:] == [
        "tune: interrupted; the same command goes on from there"
    ]
    assert first.returncode == 130
    assert not experiments(repository)

    second = started(repository, *command, **held)
    gate.begun(second)
    second.kill()
    second.communicate(timeout=LIMIT)
    third = started(repository, *command, RUNS=str(runs))
    assert third.stderr.readline().startswith("tune: k is running already, or a trial that a killed")
    gate.open()  # lets the trial of the second end
    table, progress = third.communicate(timeout=LIMIT)
    assert third.returncode == 0, progress

    betas = [each.drawn["beta"] for each in drawn(arguments({"beta": Range(0.5, 10, log=True)}, seed=0), 2)]
    assert [float(line) for line in runs.read_text().splitlines()] == [betas[0], betas[0], betas[1]]
    assert experiments(repository) == ["k-001", "k-002"]
    assert table.startswith("k: 2 trials; sampler tpe, seed 0\n")
    assert len(re.findall(r"(?m)^k-00[12] ", table)) == 2


# Pruning


class Pretended:
    """Trials in this process in place of DVC's: ``curve`` gives the values of a trial by its β, an epoch each, and what
    it measures is the last one. ``ran`` is a list of (experiment, epochs that it had begun)."""

    def __init__(self, monkeypatch, curve):
        self.curve, self.ran, self.interrupted = curve, [], ()
        self._ended = {}
        monkeypatch.setattr(tune, "run_dvc", self._run)
        monkeypatch.setattr(tune, "_ended", lambda experiment, *_: self._ended.get(experiment))

    def _run(self, command, folder, variables, log, lock, check):
        experiment = command[command.index("--name") + 1]
        beta = float(next(word for word in command if word.startswith("beta=")).partition("=")[2])
        values = self.curve(beta)
        for epoch, value in enumerate(values, start=1):
            self.ran = [*(each for each in self.ran if each[0] != experiment), (experiment, epoch)]
            with Path(variables["GENBALANCE_CURVES"]).open("a") as file:
                print(json.dumps({"stage": "train_vae", "step": epoch, "values": {"val_rate": value}}), file=file)
                print(json.dumps({"stage": "train_vae", "step": epoch, "values": {"images_per_second": 1}}), file=file)
                file.write('{"stage": "tr')  # a line that is being written
            try:
                check()
                if (experiment, epoch) in self.interrupted:
                    raise KeyboardInterrupt
            finally:
                whole = Path(variables["GENBALANCE_CURVES"]).read_text().removesuffix('{"stage": "tr')
                Path(variables["GENBALANCE_CURVES"]).write_text(whole)
        self._ended[experiment] = Trial(experiment, {"beta": beta}, (values[-1],))
        return 0


PRUNED = ["tune", "-n", "p", "-S", "beta=0.5..10", "--metric", "evaluate_vae.fd_test", "--prune", "train_vae.val_rate"]


def rough(beta):
    """A curve whose second epoch says little of what is measured, which is the third."""
    return [99.0, 20 + 7 * beta % 5, beta]


@needs_optuna
@pytest.mark.parametrize(("curve", "sign"), [("train_vae.val_rate", 1), ("train_vae.val_rate:max", -1)])
def test_a_trial_is_pruned_at_the_epoch_at_which_it_is_worse_than_the_median(repository, monkeypatch, curve, sign):
    """Its best value so far, and not before five have ended well."""
    import optuna

    pretended = Pretended(monkeypatch, lambda beta: [sign * value for value in rough(beta)])
    command = [*PRUNED[:-1], curve, "--trials", "14", "--sampler", "random", "--seed", "4"]
    printed = genbalance(repository, *command)
    monkeypatch.chdir(repository)
    trials = tune._trials(tune._opened("p"), "p")
    ended = []
    for trial, (experiment, epochs) in zip(trials, pretended.ran, strict=True):
        assert trial.name == experiment
        beta = trial.drawn["beta"]
        best = list(accumulate(rough(beta), min))
        worse = [len(ended) >= 5 and best[at] > median(each[at] for each in ended) for at in range(3)]
        at = worse.index(True) + 1 if any(worse) else 0
        assert (trial.pruned, epochs) == (at, at or 3)
        assert trial.curve == dict(enumerate(rough(beta)[: at or 3], start=1))
        if at:
            assert f"  {experiment}  beta={beta:g}  pruned after epoch {at}  best " in printed
            assert re.search(rf"\n{experiment} +{beta:g}  +pruned after epoch {at}\n", printed)
        else:
            ended.append(rough(beta))
    assert {trial.pruned for trial in trials} == {0, 2, 3}
    states = [trial.state for trial in tune._opened("p").trials]
    assert states.count(optuna.trial.TrialState.PRUNED) == 14 - len(ended)
    assert f"p: 14 trials, {14 - len(ended)} of them pruned; " in printed
    assert genbalance(repository, "tune", "-n", "p", "--show") == printed[printed.index("p: 14 trials") :]


@needs_optuna
def test_a_study_that_prunes_and_is_interrupted_has_each_trial_once(repository, monkeypatch):
    """The same trials as without an interruption; those that were pruned do not run again."""
    pretended = Pretended(monkeypatch, rough)
    whole = [*PRUNED, "--trials", "10", "--seed", "4"]
    without = genbalance(repository, *whole)
    once, pruned = pretended.ran, re.findall(r"tune: \d+/10  (p-\d+)  .*pruned", without)
    assert len(pruned) > 1
    shutil.rmtree(repository / "tune")
    pretended.ran, pretended._ended = [], {}
    pretended.interrupted = [("p-003", 2), (pruned[0], 1)]
    for _ in range(2):
        assert "interrupted" in genbalance(repository, *whole, succeeds=False)
        pretended.interrupted = pretended.interrupted[1:]
    with_ = genbalance(repository, *whole)
    assert pretended.ran == once
    assert with_[with_.index("p: 10 trials") :] == without[without.index("p: 10 trials") :]


@needs_optuna
def test_a_curve_that_a_training_does_not_log_ends_the_study_in_a_line_that_names_those_it_does(
    repository, monkeypatch
):
    Pretended(monkeypatch, rough)
    printed = genbalance(repository, *PRUNED[:-1], "train_vae.val_lss", succeeds=False)
    assert printed.splitlines()[-1] == (
        "--prune train_vae.val_lss: no such curve in p-001; allowed: val_rate, images_per_second"
    )


@needs_optuna
def test_a_trial_that_may_be_pruned_ends_with_a_killed_study_and_without_an_experiment_when_it_is_pruned(
    repository, tmp_path, gate, monkeypatch
):
    with monkeypatch.context() as patch:
        Pretended(patch, lambda beta: (0.0,))
        genbalance(repository, *PRUNED, "--trials", "5")
    runs = tmp_path / "runs"
    held = {"RUNS": str(runs), "GATE": str(tmp_path)}
    command = [*PRUNED, "--trials", "6"]
    first = started(repository, *command, **held)
    stage = os.pidfd_open(gate.begun(first))
    first.kill()
    first.communicate(timeout=LIMIT)
    assert select.select([stage], [], [], LIMIT)[0]  # it has ended
    os.close(stage)
    second = started(repository, *command, **held)
    gate.begun(second)
    gate.open()  # lets it log an epoch, after which it waits without end
    table, progress = second.communicate(timeout=LIMIT)
    assert second.returncode == 0, progress
    assert "p-006" in progress
    assert re.search(r"\np-006 .* pruned after epoch 1\n", table)
    assert len(runs.read_text().splitlines()) == 2
    assert not experiments(repository)
    assert genbalance(repository, *command, RUNS="") == table  # a stage would fail


@needs_optuna
def test_three_failures_in_a_row_stop_a_study(repository, monkeypatch):
    """And the same command goes on with the next trial, unless other code is committed."""
    well = []
    ends = iter(["nan", "", "nan", "nan", "nan", "", ""])

    def executed(experiment, arguments, drawn, trials, lock):
        failure = next(ends)
        well[:] = [] if failure else [experiment]
        return Trial(experiment, drawn, None, failure)

    def ended(experiment, arguments, params, drawn):
        return Trial(experiment, drawn, (1.0,)) if well == [experiment] else None

    monkeypatch.setattr(tune, "_executed", executed)
    monkeypatch.setattr(tune, "_ended", ended)
    command = ["tune", "-n", "f", *ONE, "--trials", "7"]
    printed = genbalance(repository, *command, succeeds=False)
    assert printed.splitlines()[-1] == (
        "the last 3 trials failed, f-005 with: nan; see tune/f-005.log; the same command goes on with the next trial"
    )
    assert re.findall(r"tune: (\d/7)", genbalance(repository, *command)) == ["6/7", "7/7"]
    assert not list(islice(ends, 1))
    (repository / "dvc.yaml").write_text(f"{PIPELINE}# changed\n")
    call(repository, "git", "commit", "-qam", "code")
    assert "-n f: was begun with code of dvc.yaml " in genbalance(repository, *command, succeeds=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["-S", "bta=0.1..5"], "-S bta=0.1: bta: found 0.1, but there is no such key"),
        (["-S", "vae.size=1,2"], "-S vae.size=1: vae.size: found 1, but there is no such key"),
        (["-S", "beta=0.1..5000"], "-S beta=5000: beta: found 5000; allowed: a number, 0 … 1000"),
        (["-S", "vae.epochs=1.5..9"], "-S vae.epochs=1.5: vae.epochs: found 1.5; allowed: a whole number"),
        (["-S", "beta=5..1"], "-S beta=5..1: the lower end is not below the upper one"),
        (["-S", "vae.arch=mlp,cnn"], "-S vae.arch=cnn: vae.arch: found 'cnn'; allowed: mlp | conv | ladder | nvae"),
        (["-S", "lambda=1..900", "-S", "gan.learning_rate=0.1"], "-S gan.learning_rate=0.1 -S lambda=900: lambda ×"),
        (["-S", "beta=1..2", "-S", "beta=3"], "-S beta: is given twice"),
        (["-S", "beta=1..2", "-S", "beta"], "-S beta: allowed: KEY=LOW..HIGH"),
        (["-S", "beta=1"], "-S: nothing to search over"),
        (["-S", "beta=1..2", "--metric", "evaluate_vae.fd_tst"], "--metric evaluate_vae.fd_tst: no such number"),
        (["-S", "beta=1..2", "--metric", "evaluate_vae.fd_test"], "--metric evaluate_vae.fd_test: is given twice"),
        (["-S", "beta=1..2", "--metric", "evaluate_vae.rate"], "--metric evaluate_vae.rate: which direction"),
        (
            ["-S", "beta=1..2", "--metric", "evaluate_vae_gan.fd_test"],
            "--metric evaluate_vae_gan.fd_test: families.vae_gan is false",
        ),
        (["-S", "beta=1..2", "--metric", "minutes.vae"], "--metric minutes.vae: is no stage; allowed: minutes.STAGE"),
        (
            ["-S", "beta=1..2", "--metric", "minutes.train_vae_gan"],
            "--metric minutes.train_vae_gan: families.vae_gan is false",
        ),
        (["-S", "beta=1..2", "-n", "a/b"], "-n a/b: allowed: letters, digits, - and _"),
        (["-S", "beta=1..2", "--prune", "train_classifier.val_loss"], "--prune train_classifier.val_loss: is no train"),
        (["-S", "beta=1..2", "--prune", "train_vae"], "--prune train_vae: is no training's curve"),
        (["-S", "beta=1..2", "--prune", "train_vae.val_loss:up"], "--prune train_vae.val_loss:up: is no training's"),
        (["-S", "beta=1..2", "--prune", "train_vae_gan.loss"], "--prune train_vae_gan.loss: families.vae_gan is false"),
        (
            ["-S", "beta=1..2", "--metric", "evaluate_vae.rate:min", "--prune", "train_vae.val_loss"],
            "--prune train_vae.val_loss: found 2 metrics; allowed: one, since Optuna prunes by one",
        ),
        (["-n", "none", "--show"], "-n none: is no study here"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line_before_anything_runs(committed_run, given, message):
    printed = genbalance(committed_run, "tune", "-n", "no", "--metric", FD.name, *given, succeeds=False)
    assert printed.startswith(message)
    assert len(printed.splitlines()) == 1
    assert not (committed_run / "tune").exists()


def test_a_family_that_was_off_may_be_searched_once_it_is_on(committed_run, monkeypatch):
    monkeypatch.chdir(committed_run)
    settings = ["beta=1..2", "families.vae_gan=true"]
    given, params = tune.parse_arguments(settings, ["evaluate_vae_gan.fd_test"], "tpe", 0)
    assert given.fixed == ("families.vae_gan=true",)
    assert (params.beta, params.families.vae_gan) == (1, True)


def test_where_optuna_is_missing_a_line_names_the_extra(committed_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    printed = genbalance(committed_run, "tune", "-n", "no", *ONE, succeeds=False)
    assert printed == "the Python package optuna is not installed; `pip install 'genbalance[tune]'`\n"
    assert not (committed_run / "tune").exists()
