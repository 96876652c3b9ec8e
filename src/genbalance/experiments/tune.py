"""`genbalance tune`: a search over params with Optuna, in which each trial is a DVC experiment.

A study NAME lies in the git-ignored folder ``tune/``: ``NAME.db``, Optuna's SQLite store of the trials that ended;
``NAME.lock``, which whoever runs it holds; ``NAME-001.log``, …, what each trial printed; where trials are pruned also
``NAME-001.jsonl``, …, their training curves. Trial NAME-001 is the experiment of that name. What a trial draws depends
on the seed, its number and the trials before it alone: one that was killed is drawn again, and its experiment, if it
has ended all the same, is found by its name and params.
"""

import fcntl
import json
import re
import shlex
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from genbalance.experiments.child import last_line, run_dvc
from genbalance.experiments.front import MINUTES, parse_metric, with_minutes
from genbalance.experiments.points import check_name, divided, parse_setting, with_settings
from genbalance.experiments.runs import code_of, curves, experiments, read_run
from genbalance.experiments.verify import ended_by_signals
from genbalance.families.registry import known
from genbalance.params import (
    INERT,
    PARAMS_FILE,
    Params,
    allowed,
    number_type,
    parse_yaml,
    read_params,
    validated,
)
from genbalance.reporting.front import Metric, pareto
from genbalance.reporting.text import aligned, listed
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.repository import committed, environment, object_id, root
from genbalance.runtime.rng import stream_seed
from genbalance.tracking.lineage import planned
from genbalance.tracking.run import CURVES

if TYPE_CHECKING:
    import optuna

FOLDER = "tune"
DIGITS = 4  # significant ones of a value that is drawn, so that its command can be typed
FAILURES = 3  # in a row, after which a study stops
CORNERS = 4096  # combinations of the ends of ranges that are checked, at most
SAMPLERS = ("tpe", "random")
NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(?::(log|linear))?")
ARGUMENTS, BEGUN, FAILURE = "arguments", "begun", "failure"  # attributes in Optuna's store
NONE = "absent"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included, drawn uniformly or, if ``log``, uniformly in their logarithm;
    whole ones if ``whole``."""

    low: float
    high: float
    log: bool
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.low:.10g}..{self.high:.10g}:{'log' if self.log else 'linear'}"

    @property
    def ends(self) -> tuple[str, ...]:
        """Both, as `-S` takes them."""
        return as_setting(self.low), as_setting(self.high)

    def typed(self, value: float) -> float:
        """A value that was drawn, with four significant digits unless it is a whole one, and not beyond the ends."""
        return value if self.whole else min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


@dataclass(frozen=True)
class Choices:
    """Values, as `-S` takes them."""

    ends: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.ends)

    def typed(self, value: str) -> str:
        """The value that was drawn."""
        return value


Axis = Range | Choices


@dataclass(frozen=True)
class Arguments:
    """What a study is made with.

    Attributes:
        space: what is searched over, by dotted key.
        fixed: settings as they were given, ``key=value``.
        metrics: one, or several, of which the Pareto front is found.
        sampler: one of :data:`SAMPLERS`.
        seed: of the draws.
        prune: the training curve by which trials are pruned, such as ``train_vae.val_loss``, if they are.
        targets: the stages that a trial runs, as `dvc repro` takes them, with those that they need; empty: all.
    """

    space: Mapping[str, Axis]
    fixed: tuple[str, ...]
    metrics: tuple[Metric, ...]
    sampler: str
    seed: int
    prune: Metric | None = None
    targets: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """What a value of the curve is multiplied with so that it is better in the direction of the metric."""
        return 1 if self.prune and self.prune.maximise == self.metrics[0].maximise else -1

    def as_json(self) -> dict[str, Any]:
        """What :meth:`of_json` reads."""
        return {
            "space": {key: str(axis) for key, axis in self.space.items()},
            "fixed": list(self.fixed),
            "metrics": [str(metric) for metric in self.metrics],
            "sampler": self.sampler,
            "seed": self.seed,
            "prune": str(self.prune) if self.prune else "",
            "targets": list(self.targets),
        }

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Self:
        """The arguments as they were stored."""
        space = {key: parse_axis(key, text) for key, text in values["space"].items()}
        metrics = tuple(parse_metric(text) for text in values["metrics"])
        kept = {key: axis for key, axis in space.items() if axis}
        prune = parse_curve(text) if (text := values.get("prune")) else None
        targets = tuple(values.get("targets", ()))
        return cls(kept, tuple(values["fixed"]), metrics, values["sampler"], values["seed"], prune, targets)


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        name: of its experiment.
        drawn: the values by dotted key, those of choices as `-S` takes them.
        values: of the metrics, or None where it has not ended well.
        failure: the last line of one that failed; "" of any other.
        curve: that by which trials are pruned, by epoch; negated where it is better in the other direction than the
            metric. Empty where none was asked for, or DVC had the training in its cache.
    """

    name: str
    drawn: Mapping[str, float | str]
    values: tuple[float, ...] | None
    failure: str = ""
    curve: Mapping[int, float] = field(default_factory=dict)

    @property
    def pruned(self) -> int:
        """The last epoch of one that was pruned; 0 of any other."""
        return max(self.curve) if self.values is None and not self.failure else 0


class _PrunedError(Exception):
    """A trial is to be ended; ``curve`` is its curve up to there."""

    def __init__(self, curve: Mapping[int, float]) -> None:
        super().__init__()
        self.curve = curve


def as_setting(value: float | str) -> str:
    """A value that was drawn, as `-S` takes it."""
    return value if isinstance(value, str) else f"{value:.10g}"


# What the command line says


def parse_axis(key: str, text: str) -> Axis | None:
    """What `-S KEY=TEXT` searches over; None where TEXT is one value.

    ``0.1..10`` is a range, logarithmic where both ends are positive and linear where not; ``0.1..10:linear`` and
    ``:log`` say which. ``mlp,conv`` are choices; a comma within brackets or quotes separates none.

    Raises:
        UserError: the param takes no range; the lower end is not below the upper one; a logarithm is asked of a range
            that has none; or a choice is there twice.
    """
    where = f"-S {key}={text}"
    if match := RANGE.fullmatch(text):
        low, high, scale = float(match[1]), float(match[2]), match[3]
        parts = tuple(key.split("."))
        try:
            kind = number_type(parts)
        except KeyError:  # no such key, which is refused with all others
            kind = float
        if kind is None:
            raise UserError(f"{where}: {key} takes no range; allowed: {allowed(parts)}, several with commas between")
        if low >= high:
            raise UserError(f"{where}: the lower end is not below the upper one; allowed: LOW..HIGH")
        if scale == "log" and low <= 0:
            raise UserError(f"{where}: {low:g} has no logarithm; allowed: :linear, or a lower end above 0")
        return Range(low, high, low > 0 if scale is None else scale == "log", kind is int)
    choices = divided(text)
    if len(set(choices)) < len(choices):
        raise UserError(f"{where}: has a value twice; allowed: each once")
    return Choices(tuple(choices)) if len(choices) > 1 else None


def parse_curve(text: str) -> Metric:
    """``train_vae.val_loss``, of which lower is better, or ``train_gan.d_accuracy_held_out:max``.

    Raises:
        UserError: it is no curve of a family's training.
    """
    name, _, direction = text.partition(":")
    stage, _, key = name.partition(".")
    trainings = [f"train_{family}" for family in known()]
    if stage not in trainings or not key or direction not in ("", "min", "max"):
        raise UserError(
            f"--prune {in_a_line(text)}: is no training's curve; "
            f"allowed: {listed(trainings, 'or')} with .COLUMN of its curves.csv, and :min or :max"
        )
    return Metric(name, direction == "max")


def parse_arguments(
    settings: Sequence[str],
    metrics: Sequence[str],
    sampler: str,
    seed: int,
    prune: str = "",
    targets: Sequence[str] = (),
) -> tuple[Arguments, Params]:
    """The arguments, and params.yaml with the fixed settings and with the first end of each range; all checked by the
    rules of params.yaml, for each combination of ends, the first 4096 of them.

    Raises:
        UserError: one of them is refused; the line names it.
    """
    space: dict[str, Axis] = {}
    fixed: dict[str, str] = {}
    for setting in settings:
        key, text = parse_setting(setting, "KEY=LOW..HIGH, KEY=A,B or KEY=VALUE")
        if key in space or key in fixed:
            raise UserError(f"-S {key}: is given twice; allowed: once")
        if axis := parse_axis(key, text):
            space[key] = axis
        else:
            fixed[key] = text
    if not space:
        raise UserError("-S: nothing to search over; allowed: a range or choices, such as -S beta=0.1..10")
    if not metrics:
        raise UserError("--metric: none is given; allowed: FILE.KEY, a number in metrics/FILE.json")
    base = read_params()
    corners = product(*(axis.ends for axis in space.values()))
    for ends in islice(corners, CORNERS):  # what lies between its ends keeps the rules of a range that they keep
        with_settings(base, fixed | dict(zip(space, ends, strict=True)))
    params = with_settings(base, fixed | {key: axis.ends[0] for key, axis in space.items()})
    names = [text.partition(":")[0] for text in metrics]
    _check_metrics(names, params)
    curve = parse_curve(prune) if prune else None
    if curve:
        _check_curve(curve, metrics, params)
    if targets:
        _check_targets(targets, names, curve)
    given = tuple(f"{key}={text}" for key, text in fixed.items())
    return Arguments(space, given, tuple(map(parse_metric, metrics)), sampler, seed, curve, tuple(targets)), params


def _check_targets(targets: Sequence[str], metrics: Sequence[str], curve: Metric | None) -> None:
    """Refuses targets that DVC does not know, and those that leave out the stage of a metric or of the curve.

    Raises:
        UserError: it is so.
    """
    stages = planned(targets)
    asked = {"--metric": metrics, "--prune": [curve.name] if curve else []}
    for option, names in asked.items():
        for name in names:
            stage = name.removeprefix(MINUTES).partition(".")[0]
            if stage not in stages:
                raise UserError(
                    f"{option} {name}: {stage} is none of the stages that {' '.join(targets)} needs; "
                    f"allowed: {listed(stages, 'or')}, or further targets"
                )


def _check_curve(curve: Metric, metrics: Sequence[str], params: Params) -> None:
    """Refuses to prune by several metrics, and by a curve of a family that is off or that HEAD's run has not.

    Raises:
        UserError: it is so.
    """
    stage, _, key = curve.name.partition(".")
    if len(metrics) > 1:
        raise UserError(f"--prune {curve.name}: found {len(metrics)} metrics; allowed: one, since Optuna prunes by one")
    if family := params.family_off(stage):
        raise UserError(f"--prune {curve.name}: families.{family} is false; allowed: -S families.{family}=true")
    table = curves(object_id("HEAD")).get(stage, b"").decode(errors="replace")
    columns = (table.splitlines() or [""])[0].split(",")
    if any(columns) and key not in columns:
        raise UserError(f"--prune {curve.name}: no such curve in HEAD; allowed: {', '.join(columns[1:])}")


def _check_metrics(names: Sequence[str], params: Params) -> None:
    """Refuses a metric that HEAD's run has not measured. Of a family that was off there it is asked only that it is on
    now.

    Raises:
        UserError: one is refused, or is given twice.
    """
    try:
        measured: Mapping[str, float] = read_run("HEAD", object_id("HEAD")).metrics
    except UserError:  # no run yet
        measured = {}
    files = {name.partition(".")[0] for name in measured}
    stages = {f"{step}_{family}" for step in ("train", "evaluate") for family in known()}
    for place, name in enumerate(names):
        file, _, key = name.removeprefix(MINUTES).partition(".")
        if name in names[:place]:
            raise UserError(f"--metric {name}: is given twice; allowed: once")
        if name.startswith(MINUTES) and (file not in stages or key):
            raise UserError(f"--metric {in_a_line(name)}: is no stage; allowed: {MINUTES}STAGE")
        if file in stages and (family := params.family_off(file)):
            raise UserError(f"--metric {name}: families.{family} is false; allowed: -S families.{family}=true")
        if not name.startswith(MINUTES) and name not in measured and (file in files or file not in stages or not key):
            near = ", ".join(get_close_matches(name, measured, n=3, cutoff=0.5))
            raise UserError(
                f"--metric {in_a_line(name)}: no such number in the metrics of HEAD; "
                f"allowed: {near or 'FILE.KEY, a number in metrics/FILE.json'}"
            )


# The study


def tune(name: str, arguments: Arguments, params: Params, trials: int) -> str:
    """Runs a study until it has so many trials, with a line on stderr for each; one that was begun goes on.

    Args:
        name: of the study, and what its experiments begin with.
        arguments: of the study.
        params: what :func:`parse_arguments` returned beside them.
        trials: how many it has in the end, those that failed included.

    Returns:
        The table of the trials, and how to run the best again.

    Raises:
        UserError: the study was begun with other arguments; an experiment has a trial's name already; or three trials
            in a row failed.
        SystemExit: on Ctrl-C with 130, on SIGTERM with 143; the trial under way is run again by the same command.
    """
    database = _path(name, ".db")
    import optuna  # noqa: F401  missing, it is named before anything is written

    database.parent.mkdir(exist_ok=True)
    try:
        with ended_by_signals(), _locked(name) as lock:
            study = _opened(name, arguments)
            _begin(study, name, arguments, params)
            _run(study, name, arguments, params, trials, lock)
            return as_text(name, arguments, _trials(study, name))
    except (KeyboardInterrupt, SystemExit) as end:
        _note("interrupted; the same command goes on from there")
        raise SystemExit(130 if isinstance(end, KeyboardInterrupt) else end.code) from None


def show(name: str) -> str:
    """The table of a study as it stands.

    Raises:
        UserError: there is no such study.
    """
    return as_text(name, *read_study(name))


def read_study(name: str) -> tuple[Arguments, list[Trial]]:
    """What a study is made with, and its trials so far, in their order.

    Raises:
        UserError: there is no such study.
    """
    if not _path(name, ".db").exists():
        others = ", ".join(sorted(path.stem for path in _path(name, ".db").parent.glob("*.db")))
        raise UserError(f"-n {name}: is no study here; allowed: {others or 'one that was begun'}")
    study = _opened(name)
    if ARGUMENTS not in study.user_attrs:
        raise UserError(f"-n {name}: was killed before its first trial; run its command again")
    return Arguments.of_json(study.user_attrs[ARGUMENTS]), _trials(study, name)


def _path(name: str, suffix: str) -> Path:
    """A file of the study."""
    check_name(name)
    return root() / FOLDER / f"{name}{suffix}"


def _note(line: str) -> None:
    print(f"tune: {line}", file=sys.stderr, flush=True)


@contextmanager
def _locked(name: str) -> Iterator[int]:
    """The descriptor of the study's lock, which is held in the block. A trial inherits it: while one that a killed
    `genbalance tune` left behind still runs, nobody starts it a second time."""
    with _path(name, ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _note(f"{name} is running already, or a trial that a killed `genbalance tune` left; waits for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _opened(name: str, arguments: Arguments | None = None) -> "optuna.Study":
    """The study as it is stored; it is made where ``arguments`` are given and there is none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = _path(name, ".db")
    # not by an address, in which some letters of a path would mean something else
    store = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path)})
    if arguments is None or name in optuna.get_all_study_names(store):
        return optuna.load_study(study_name=name, storage=store)
    return optuna.create_study(study_name=name, storage=store, directions=_directions(arguments))


def _directions(arguments: Arguments) -> "list[Literal['minimize', 'maximize']]":
    return ["maximize" if metric.maximise else "minimize" for metric in arguments.metrics]


def _begin(study: "optuna.Study", name: str, arguments: Arguments, params: Params) -> None:
    """Keeps what the study is made with, or refuses other arguments, params or code than it was begun with."""
    others = {k: v for k, v in params.flat().items() if k not in arguments.space and not k.startswith(INERT)}
    whole: dict[str, Any] = {f"-S {key}": str(axis) for key, axis in arguments.space.items()}
    whole |= {"--metric": " ".join(map(str, arguments.metrics)), "--sampler": arguments.sampler}
    whole |= {"--prune": str(arguments.prune)} if arguments.prune else {}
    whole |= {"targets": " ".join(arguments.targets)} if arguments.targets else {}
    whole |= {"--seed": arguments.seed, **others, **{f"code of {k}": v[:8] for k, v in code_of("HEAD").items()}}
    before = study.user_attrs.get(BEGUN)
    if before is None:
        for file in _path(name, "").parent.iterdir():
            if re.fullmatch(rf"{name}-\d+\.jsonl", file.name):
                file.unlink()  # of another study of that name
        study.set_user_attr(ARGUMENTS, arguments.as_json())
        study.set_user_attr(BEGUN, whole)
        return
    keys = dict.fromkeys([*before, *whole])
    differing = [f"{k} {before.get(k, NONE)} (now {whole.get(k, NONE)})" for k in keys if before.get(k) != whole.get(k)]
    if differing:
        raise UserError(f"-n {name}: was begun with {', '.join(differing[:3])}; give another name for another study")


def draw(arguments: Arguments, trials: Sequence[Trial]) -> dict[str, float | str]:
    """What the trial after ``trials`` is run with, by dotted key. It depends on the seed and on these alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = stream_seed(arguments.seed, f"tune/{len(trials)}") % 2**32
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study = optuna.create_study(directions=_directions(arguments), sampler=samplers[arguments.sampler](seed=seed))
    study.add_trials([_frozen(arguments, trial) for trial in trials])
    drawn = study.ask(_distributions(arguments)).params
    return {key: axis.typed(drawn[key]) for key, axis in arguments.space.items()}


def _distributions(arguments: Arguments) -> "dict[str, optuna.distributions.BaseDistribution]":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        key: CategoricalDistribution(axis.ends)
        if isinstance(axis, Choices)
        else IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        if axis.whole
        else FloatDistribution(axis.low, axis.high, log=axis.log)
        for key, axis in arguments.space.items()
    }


def _frozen(arguments: Arguments, trial: Trial) -> "optuna.trial.FrozenTrial":
    """The trial as Optuna keeps it."""
    from optuna.trial import TrialState, create_trial

    unended = TrialState.FAIL if trial.failure else TrialState.PRUNED
    return create_trial(
        state=unended if trial.values is None else TrialState.COMPLETE,
        values=trial.values,
        intermediate_values=dict(trial.curve),
        params=dict(trial.drawn),
        distributions=_distributions(arguments),
        user_attrs={FAILURE: trial.failure},
    )


def _trials(study: "optuna.Study", name: str) -> list[Trial]:
    return [
        Trial(
            _experiment(name, trial.number),
            trial.params,
            trial.values and tuple(trial.values),
            trial.user_attrs[FAILURE],
            trial.intermediate_values,
        )
        for trial in study.trials
    ]


def _experiment(name: str, number: int) -> str:
    return f"{name}-{number + 1:03d}"


def _run(study: "optuna.Study", name: str, arguments: Arguments, params: Params, trials: int, lock: int) -> None:
    """Runs what is missing."""
    failed, began, before = 0, time.monotonic(), len(study.trials)
    if before < trials:
        _note(f"each trial's output goes to {FOLDER}/{_experiment(name, 0)}.log, …")
    for number in range(before, trials):
        ended = _trials(study, name)
        experiment, drawn = _experiment(name, number), draw(arguments, ended)
        trial = _ended(experiment, arguments, params, drawn)
        if trial is None:
            trial = _executed(experiment, arguments, drawn, ended, lock)
            if not trial.failure:  # one that was to be pruned may have ended all the same
                found = _ended(experiment, arguments, params, drawn)
                trial = found or (trial if trial.curve else replace(trial, failure="left no experiment"))
        if trial.values is not None:
            trial = replace(trial, curve=read_curve(experiment, arguments))
        study.add_trial(_frozen(arguments, trial))
        left = (time.monotonic() - began) / (number + 1 - before) * (trials - number - 1)
        _note(_progress(arguments, [*ended, trial], trials, left))
        failed = failed + 1 if trial.failure else 0
        if failed == FAILURES:
            raise UserError(
                f"the last {FAILURES} trials failed, {experiment} with: {trial.failure}; "
                f"see {FOLDER}/{experiment}.log; the same command goes on with the next trial"
            )


def _ended(experiment: str, arguments: Arguments, params: Params, drawn: Mapping[str, float | str]) -> Trial | None:
    """The trial out of its experiment; None where there is none.

    Raises:
        UserError: the experiment of that name has other params or code.
    """
    commit = experiments().get(experiment)
    if commit is None:
        return None
    wanted = with_settings(params, {key: as_setting(value) for key, value in drawn.items()}).flat()
    text = (committed(commit, str(PARAMS_FILE)) or b"").decode(errors="replace")
    found = validated(parse_yaml(text, f"{experiment}: {PARAMS_FILE}"), f"{experiment}: {PARAMS_FILE}").flat()
    other = [key for key in wanted if wanted[key] != found[key] and not key.startswith(INERT)]
    if other:
        raise UserError(
            f"{experiment}: is an experiment already, with {other[0]} = {found[other[0]]} and not {wanted[other[0]]}; "
            f"give another name, or `dvc exp remove {experiment}`"
        )
    (run,) = with_minutes([read_run(experiment, commit)], [metric.name for metric in arguments.metrics])
    lacks = [metric.name for metric in arguments.metrics if metric.name not in run.metrics]
    if lacks:
        return Trial(experiment, drawn, None, f"has not measured {', '.join(lacks)} with its own params")
    return Trial(experiment, drawn, tuple(run.metrics[metric.name] for metric in arguments.metrics))


def _executed(
    experiment: str, arguments: Arguments, drawn: Mapping[str, float | str], trials: Sequence[Trial], lock: int
) -> Trial:
    """Runs the experiment; the trial if it failed or was pruned, and else one without values.

    One that may be pruned ends with this process: left behind, nobody would prune it.
    """
    settings = [*arguments.fixed, *(f"{key}={as_setting(value)}" for key, value in drawn.items())]
    command = ["exp", "run", "--temp", "--name", experiment]
    command += [*(word for setting in settings for word in ("-S", setting)), *arguments.targets]
    path = root() / FOLDER / f"{experiment}.log"
    path.write_bytes(b"")  # without what an attempt that was cut short printed
    if arguments.prune is None:
        code = run_dvc(command, root(), environment(), path, lock, outlives=True)
    else:
        own = environment() | {CURVES: str(_curve_file(experiment))}
        try:
            code = run_dvc(command, root(), own, path, lock, check=_pruner(experiment, arguments, trials))
        except _PrunedError as pruned:
            return Trial(experiment, drawn, None, curve=pruned.curve)
    failure = last_line(path.read_text(encoding="utf-8", errors="replace"), code) if code else ""
    return Trial(experiment, drawn, None, failure)


def _curve_file(experiment: str) -> Path:
    return root() / FOLDER / f"{experiment}.jsonl"


def read_curve(experiment: str, arguments: Arguments) -> dict[int, float]:
    """The curve of a trial, as :class:`Trial` has it, as far as it is known.

    Raises:
        UserError: its training has logged epochs, and no such curve.
    """
    if arguments.prune is None or not _curve_file(experiment).exists():
        return {}
    stage, _, key = arguments.prune.name.partition(".")
    found: dict[int, float] = {}
    others: dict[str, None] = {}
    *whole, _unended = _curve_file(experiment).read_text(encoding="utf-8").split("\n")
    for line in map(json.loads, whole):
        if line["stage"] == stage:
            others |= dict.fromkeys(line["values"])
            if key in line["values"]:
                found[int(line["step"])] = arguments.sign * float(line["values"][key])
    if others and not found:
        raise UserError(f"--prune {arguments.prune.name}: no such curve in {experiment}; allowed: {', '.join(others)}")
    return found


def _pruner(experiment: str, arguments: Arguments, trials: Sequence[Trial]) -> Callable[[], None]:
    """A function that raises once the trial's best value so far is worse than the median of the earlier trials at an
    epoch, once five of them have ended well: Optuna's MedianPruner, after the median stopping rule of Golovin et al.
    2017."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=_directions(arguments), pruner=optuna.pruners.MedianPruner())
    study.add_trials([_frozen(arguments, trial) for trial in trials])
    asked, seen = study.ask(), dict[int, float]()

    def check() -> None:
        for epoch, value in read_curve(experiment, arguments).items():
            if epoch not in seen:
                seen[epoch] = value
                asked.report(value, epoch)
                if asked.should_prune():
                    raise _PrunedError(seen)

    return check


# What is printed


def best(metrics: Sequence[Metric], trials: Sequence[Trial]) -> list[Trial]:
    """The best trial by one metric, the first of equal ones; by several, those on the Pareto front, best first by the
    first metric."""
    ended = _ranked(metrics, trials)
    if len(metrics) == 1:
        return ended[:1]
    front = pareto([trial.values or () for trial in ended], [metric.maximise for metric in metrics])
    return [trial for trial, on in zip(ended, front, strict=True) if on]


def _ranked(metrics: Sequence[Metric], trials: Sequence[Trial]) -> list[Trial]:
    """Those that ended well, best first by the first metric."""
    ended = [trial for trial in trials if trial.values is not None]
    return sorted(ended, key=lambda t: (t.values or (0.0,))[0] * (-1 if metrics[0].maximise else 1))


def _progress(arguments: Arguments, trials: Sequence[Trial], total: int, seconds: float) -> str:
    trial, found = trials[-1], best(arguments.metrics, trials)
    drawn = " ".join(f"{key}={as_setting(value)}" for key, value in trial.drawn.items())
    if len(arguments.metrics) > 1:
        summary = f"{len(found)} on the Pareto front"
    else:
        summary = f"best {_numbers(arguments, found[0])} ({found[0].name})" if found else "none has ended well"
    pruned = f"pruned after epoch {trial.pruned}"
    outcome = f"failed: {trial.failure}" if trial.failure else pruned if trial.pruned else _numbers(arguments, trial)
    left = f"{timedelta(seconds=round(seconds))} left"
    return "  ".join([f"{len(trials)}/{total}", trial.name, drawn, outcome, summary, left])


def _numbers(arguments: Arguments, trial: Trial) -> str:
    pairs = zip(arguments.metrics, trial.values or (), strict=True)
    return ", ".join(f"{metric.name.partition('.')[2]} {value:.4g}" for metric, value in pairs)


def as_text(name: str, arguments: Arguments, trials: Sequence[Trial]) -> str:
    """The trials as a table, best first, those on the Pareto front of several metrics with a star; the last lines of
    those that failed; how to run the best again; and how to show a front of two metrics on the page."""
    metrics = arguments.metrics
    found, failed = best(metrics, trials), [trial for trial in trials if trial.failure]
    pruned = sorted((trial for trial in trials if trial.pruned), key=lambda trial: -trial.pruned)
    parts = [f"{len(those)} of them {what}" for those, what in ((pruned, "pruned"), (failed, "failed")) if those]
    counts = ", ".join([f"{len(trials)} trials", *parts])
    directions = ", ".join(f"{metric.name} ({metric.better})" for metric in metrics)
    head = [f"{name}: {counts}; sampler {arguments.sampler}, seed {arguments.seed}", directions]
    ranked = _ranked(metrics, trials)
    ranked = ranked if len(metrics) == 1 else [*found, *(trial for trial in ranked if trial not in found)]
    rows = [["trial", *arguments.space, *(metric.name for metric in metrics)]]
    for trial in [*ranked, *pruned, *failed]:
        unended = f"pruned after epoch {trial.pruned}" if trial.pruned else "failed"
        cells = [unended] * len(metrics) if trial.values is None else [f"{value:.4g}" for value in trial.values]
        star = " *" if len(metrics) > 1 and trial in found else ""
        rows.append([f"{trial.name}{star}", *(as_setting(trial.drawn[key]) for key in arguments.space), *cells])
    blocks = ["\n".join(head), aligned(rows)]
    if failed:
        blocks.append("\n".join(f"{trial.name} failed: {trial.failure}" for trial in failed))
    if found:
        title = "* The Pareto front" if len(metrics) > 1 else f"The best, {found[0].name}"
        again = [f"  {command(arguments, trial)}" for trial in found]
        to_run = "To run the other stages too" if arguments.targets else "To run it again"
        blocks.append("\n".join([f"{title}; `dvc exp apply TRIAL` brings a trial's results here. {to_run}:", *again]))
    if len(metrics) == 2 and found:
        options = " ".join(f"--metric {metric}" for metric in metrics)
        blocks.append(
            "To show the front on the page of the next run:\n"
            f"  genbalance sweep show '{name}-*' {options} --json metrics/sweeps/{name}.json"
        )
    return "\n\n".join(blocks)


def command(arguments: Arguments, trial: Trial) -> str:
    """The command that runs all stages with what the trial drew; those that it ran come from DVC's cache."""
    settings = [*arguments.fixed, *(f"{key}={as_setting(value)}" for key, value in trial.drawn.items())]
    return " ".join(["dvc exp run --temp", *(f"-S {shlex.quote(setting)}" for setting in settings)])
