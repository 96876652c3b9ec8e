"""Sweeps beside this run, and what they say of each coefficient."""

import json

import matplotlib.figure
import pytest
from reported import FAMILIES

from genbalance.families.registry import known
from genbalance.params import read_params
from genbalance.reporting.effects import Context, effects, in_context
from genbalance.reporting.findings import finding
from genbalance.reporting.results import read_results
from genbalance.reporting.slider import slider
from genbalance.reporting.sweep import Sweep, as_json, columns, figure
from genbalance.reporting.theme import LIGHT
from genbalance.runtime.errors import UserError


def sweep(values=(0.1, 1.0, 10.0), name="vae", key="beta", **metrics):
    """One seed each; metrics are 0.5 where they are not given."""
    given = {metric: (0.5,) * len(values) for metric in columns(known()[name])}
    given |= {f"evaluate_{name}.{metric}": them for metric, them in metrics.items()}
    groups = {metric: tuple((value,) for value in them) for metric, them in given.items()}
    return Sweep(key, {}, values, ((1,),) * len(values), groups, key)


FALLS, RISES = (60.0, 20.0, 3.0), (70.0, 90.0, 150.0)


def answers(*contexts, names=("gan", "vae")):
    """The effects in a run of these families."""
    return list(effects([known()[name] for name in names], contexts))


def context(of, **otherwise):
    (family,) = of.families
    return Context(of, family, figure(of, family), slider(of, family, 1.0, None, str), otherwise)


def test_of_several_sweeps_the_one_most_like_this_run_answers():
    far, near = sweep(rate=FALLS, distortion=RISES), sweep(rate=RISES, distortion=FALLS)
    shown = answers(context(far, **{"vae.epochs": "8"}), context(near))
    assert [it.key for it in shown] == ["beta", "lambda"]
    assert shown[0].context.sweep is near
    assert shown[0].finding == finding(near, near.families[0])
    assert (shown[1].context, shown[1].finding) == (None, None)


def test_a_sweep_of_one_value_answers_nothing():
    one = sweep((1.0,))
    assert answers(context(one))[0].finding is None


def test_a_coefficient_of_several_families_is_answered_for_those_in_which_it_was_measured(a_third):
    own, other = context(sweep()), context(sweep(name=a_third))
    names = ("gan", a_third, "vae")
    (alone,) = [it for it in answers(own, names=names) if it.key == "beta"]
    assert (alone.family.name, alone.alone) == ("vae", True)
    both = [it for it in answers(own, other, names=names) if it.key == "beta"]
    assert [(it.family.name, it.alone) for it in both] == [(a_third, False), ("vae", False)]
    assert {it.key for it in answers(names=names)} == {"beta", "lambda"}


SWEEP = Sweep(
    "beta",
    {"lambda": 1.0, "vae.epochs": 50},
    (0.5, 2),
    ((1, 2), (3,)),
    dict.fromkeys(sorted(columns(FAMILIES["vae"])), ((1.0, 1.5), (2.0,))),
    "beta",
)


def written(path, **changes):
    path.write_text(json.dumps(as_json(SWEEP) | changes), encoding="utf-8")
    return path


@pytest.fixture
def params(finished):
    return read_params(finished / "params.yaml").flat()


def rings(plot):
    figure = matplotlib.figure.Figure()
    plot.draw(figure, LIGHT)
    return [line.get_xydata().tolist() for panel in figure.axes for line in panel.lines if line.get_mfc() == "none"]


def test_a_run_like_those_of_a_sweep_is_marked_where_it_stands(finished, params):
    beta, weight = in_context(read_results(finished, FAMILIES), params)
    assert not beta.otherwise
    assert rings(beta.plot) == [[[25.2, 76.1]]]
    assert "ring is this run" in beta.plot.caption
    assert weight.otherwise == {"gan.epochs": "8"}
    assert rings(weight.plot) == []
    assert "ring" not in weight.plot.caption


def test_the_slider_marks_a_run_of_other_settings_with_a_dashed_ring_unless_it_is_far_off(workspace, change, params):
    def marks():
        shown = in_context(read_results(root, FAMILIES), params)[1].slider
        return [(chart.ring is not None, chart.dashed) for chart in shown.charts], "dashed ring" in shown.caption

    root = workspace()
    assert marks() == (
        [(False, True), (False, False), (False, False)],
        False,
    )  # 22.81, and the curve goes from 0.5 to 2
    change(root / "metrics/evaluate_gan.json", fd_test=2.5)
    assert marks() == ([(True, True), (False, False), (False, False)], True)


def test_the_params_of_other_families_make_no_difference(finished, params):
    beta, weight = in_context(read_results(finished, FAMILIES), params | {"gan.epochs": 8, "vae.epochs": 3})
    assert beta.otherwise == {"vae.epochs": "50"}
    assert not weight.otherwise
    assert rings(weight.plot) == [[[1.0, 22.81]]]


def test_seeds_and_other_settings_are_named_and_part_of_the_commands(finished, params):
    beta, weight = (it.slider for it in in_context(read_results(finished, FAMILIES), params))
    assert beta.caption.endswith("seed 42; all other parameters as in this run.")
    assert [stop.command for stop in beta.stops] == [f"dvc exp run -S beta={value}" for value in ("0.5", "1", "2")]
    own = params["gan.epochs"]
    assert weight.caption.endswith(f"seeds 1 and 2, pictures and commands of seed 1; gan.epochs = 8 (this run: {own}).")
    assert weight.stops[0].command == "dvc exp run -S lambda=0.5 -S gan.epochs=8 -S seed=1"


def test_without_sweeps_there_is_nothing_to_show(finished, params, workspace):
    root = workspace()
    for file in (root / "metrics/sweeps").glob("*.json"):
        file.unlink()
    assert in_context(read_results(root, FAMILIES), params) == []


def kept(root, name, **changes):
    written(root / f"metrics/sweeps/{name}.json", **changes)
    return in_context(read_results(root, FAMILIES), read_params(root / "params.yaml").flat())


@pytest.mark.parametrize(
    ("key", "message"), [("vae.nonsense", "which is none in"), ("gan.arch", "which is no number in")]
)
def test_a_sweep_of_what_is_no_number_here_is_refused(workspace, key, message):
    metrics = {name: [1.0] for name in columns(FAMILIES[key.split(".")[0]])}
    with pytest.raises(UserError, match=rf"x\.json: parameter: found '{key}', {message} params.yaml"):
        kept(workspace(), "x", parameter=key, points=[{key: 1.0, "seeds": [1], "metrics": metrics}])


def test_two_sweeps_of_one_parameter_are_two_figures(workspace):
    shown = kept(workspace(), "beta_long")
    assert [it.plot.name for it in shown] == ["beta_sweep", "beta_long_sweep", "lambda_sweep"]


@pytest.mark.parametrize(("width", "otherwise"), [(512, {}), (64, {"vae.width": "512"})])
def test_a_sweep_of_before_a_parameter_was_there_had_its_released_value(workspace, params, width, otherwise):
    root = workspace()
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("  width: 512 ", f"  width: {width} "))
    _, shown, _ = kept(root, "beta2", params={key: value for key, value in params.items() if key != "vae.width"})
    assert shown.otherwise == otherwise
    assert bool(rings(shown.plot)) == (not otherwise)


def test_what_is_measured_beside_the_curves_makes_no_difference(finished, params):
    beta, _ = in_context(
        read_results(finished, FAMILIES), params | {"evaluate.resamples": 11, "evaluate.inversion_steps": 3}
    )
    assert not beta.otherwise
    beta, _ = in_context(read_results(finished, FAMILIES), params | {"evaluate.samples": 500})
    assert beta.otherwise == {"evaluate.samples": "10000"}


def test_other_digits_of_one_s_own_are_a_difference_and_a_path_that_is_not_read_is_none(workspace, params):
    root, own = workspace(), params | {"data.source": "idx"}
    written(root / "metrics/sweeps/beta.json", params=own | {"data.path": "/home/me/letters"})
    assert in_context(read_results(root, FAMILIES), own | {"data.path": "idx"})[0].otherwise == {"data.path": "letters"}
    assert not in_context(read_results(root, FAMILIES), own | {"data.path": "letters"})[0].otherwise


def test_on_a_logarithmic_axis_there_is_no_ring_at_zero(workspace, params):
    metrics = {name: [1.0] for name in columns(FAMILIES["gan"])}
    points = [{"gan.r1": value, "seeds": [1], "metrics": metrics} for value in (0.1, 1.0)]
    root = workspace()
    written(root / "metrics/sweeps/r1.json", parameter="gan.r1", points=points, params=params)
    shown = in_context(read_results(root, FAMILIES), params | {"gan.r1": 0.0})[-1]
    assert not shown.otherwise
    assert rings(shown.plot) == []
    assert "ring" not in shown.plot.caption
