"""The points of a sweep: values, names, equal stages, and the order in which points may start."""

import random

import pytest
from committed import PARAMS

from genbalance.experiments.points import Stage, known_keys, parse_points, stage_keys, startable
from genbalance.params import read_params
from genbalance.runtime.errors import UserError

BASE = read_params(PARAMS)
PIPELINE = [
    Stage("prepare", "p", ("data", "seed"), ()),
    Stage("train_gan", "g", ("gan", "lambda", "seed"), ("prepare",)),
    Stage("train_vae", "v", ("beta", "seed", "vae"), ("prepare",)),
    Stage("report", "r", ("beta", "lambda", "seed"), ("train_gan", "train_vae")),
]


def settings_of(*settings):
    return [point.settings for point in parse_points("s", settings, BASE)]


def test_points_are_all_combinations_in_the_order_of_nested_loops():
    points = parse_points("s", ["beta=0.5,1", "seed=range(1,4)", "vae.arch=mlp"], BASE)
    assert [point.name for point in points] == [f"s-{n}" for n in range(1, 7)]
    expected = [(f"beta={beta}", f"seed={seed}", "vae.arch=mlp") for beta in ("0.5", "1") for seed in (1, 2, 3)]
    assert [point.settings for point in points] == expected


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("beta=2", ["2"]),
        ("seed=range(5)", None),
        ("seed=range(0,10,4)", ["0", "4", "8"]),
        ("seed=range(3,0,-1)", ["3", "2", "1"]),
        ("vae.beta_range=none,[0.1,10]", ["none", "[0.1,10]"]),
        ("data.path='a,b',c", ["'a,b'", "c"]),
    ],
)
def test_values_are_read_as_dvc_reads_them(setting, values):
    if values is None:
        with pytest.raises(UserError, match="seed"):
            settings_of(setting)
    else:
        key = setting.partition("=")[0]
        assert settings_of(setting) == [(f"{key}={value}",) for value in values]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "-S: none is given"),
        (["beta"], "-S beta: allowed: KEY=A,B,C"),
        (["beta="], "-S beta=: allowed: KEY=A,B,C"),
        (["beta=1,,2"], "-S beta=1,,2: holds no value"),
        (["beta=1", "beta=2"], "-S beta: is given twice"),
        (["beta=1,1.0"], "-S beta=1,1.0: has the value 1.0 twice"),
        (["beta=1,5000"], "-S beta=5000: beta: found 5000; allowed: a number, 0 … 1000"),
        (["bta=1,2"], "-S bta=1: bta: found 1, but there is no such key"),
        (["seed=range(2,2)"], "-S seed=range(2,2): holds no value"),
        (["seed=range(0,20000)"], "-S: found 20000 points; allowed: at most 10000"),
        (["vae.latents=1,40", "vae.prior=normal,flow"], "-S vae.latents=1 -S vae.prior=flow: vae:"),
    ],
)
def test_a_point_that_params_yaml_could_not_hold_is_refused_in_a_line(settings, message):
    with pytest.raises(UserError) as caught:
        parse_points("s", settings, BASE)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "é"])
def test_a_name_that_no_ref_could_have_is_refused(name):
    with pytest.raises(UserError, match=r"-n .*: allowed: letters, digits"):
        parse_points(name, ["beta=1"], BASE)


def keys(**changed):
    return stage_keys(PIPELINE, {"seed": 1, "beta": 1, "lambda": 1, "vae.epochs": 2, "gan.epochs": 2} | changed)


def test_stages_are_equal_where_their_params_and_all_before_them_are():
    first = keys()

    def differing(**changed):
        return {name for name, key in keys(**changed).items() if key != first[name]}

    assert not differing()
    assert not differing(serve=3)  # which nobody reads
    assert differing(beta=2) == {"train_vae", "report"}
    assert differing(**{"lambda": 2}) == {"train_gan", "report"}
    assert differing(**{"vae.epochs": 3}) == {"train_vae", "report"}
    assert differing(**{"vaes": 3}) == set()
    assert differing(seed=2) == {"prepare", "train_gan", "train_vae", "report"}


def test_what_the_commit_has_made_is_known_only_with_all_before_it():
    flat = {"seed": 1}
    every = stage_keys(PIPELINE, flat)

    def known(*names):
        stages = [Stage(s.name, s.command, s.params, s.after, s.name in names) for s in PIPELINE]
        return {name for name, key in every.items() if key in known_keys(stages, flat)}

    assert known("prepare", "train_vae") == {"prepare", "train_vae"}
    assert known("train_vae", "report") == set()


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_each_equal_stage_is_made_by_one_point_and_all_points_run(workers):
    """A simulation of random sweeps in which points take random times and some fail."""
    generator = random.Random(workers)
    for _ in range(30):
        grid = [(b, s) for b in range(generator.randint(1, 4)) for s in range(generator.randint(1, 4))]
        of = {
            f"p{n}": frozenset(stage_keys(PIPELINE, {"beta": b, "seed": s}).values()) for n, (b, s) in enumerate(grid)
        }
        waiting, running, done, made, runs = list(of), [], set(), set(), []
        while waiting or running:
            while len(running) < workers and (name := startable(waiting, of, running, made)):
                waiting.remove(name)
                running.append(name)
                runs += of[name] - made
            assert running  # somebody may always start
            ended = running.pop(generator.randrange(len(running)))
            if generator.random() < 0.2:
                runs = [key for key in runs if key in made or key not in of[ended]]
                waiting.append(ended)  # as `resume` does
            else:
                done.add(ended)
                made |= of[ended]
        assert done == set(of)
        assert sorted(runs) == sorted(made)  # each once
