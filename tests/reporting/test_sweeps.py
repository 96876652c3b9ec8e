"""The file of a sweep, and what is told of one on the page."""

import json
from dataclasses import replace

import matplotlib.figure
import pytest
from PIL import Image

from genbalance.errors import UserError
from genbalance.params import read_params
from genbalance.reporting.results import read_results
from genbalance.reporting.style import LIGHT
from genbalance.reporting.sweep import COLUMNS, Sweep, as_json, picture_path, read_sweep
from genbalance.reporting.sweep_context import in_context

NAMES = COLUMNS["vae"]
SWEEP = Sweep(
    "beta",
    {"lambda": 1.0, "vae.epochs": 50},
    (0.5, 2),
    ((1, 2), (3,)),
    dict.fromkeys(sorted(NAMES), ((1.0, 1.5), (2.0,))),
    "beta",
)


def written(path, **changes):
    path.write_text(json.dumps(as_json(SWEEP) | changes), encoding="utf-8")
    return path


def points(**changes):
    return [{"beta": 0.5, "seeds": [1], "metrics": {name: [1.0] for name in NAMES}} | changes]


def test_a_sweep_comes_back_from_its_file(tmp_path):
    assert read_sweep(written(tmp_path / "beta.json")) == SWEEP


def test_the_file_holds_the_metrics_of_the_parameter_s_own_model(tmp_path):
    more = {"train_vae.val_loss": ((1.0, 1.5), (2.0,)), "evaluate_gan.fd_test": ((1.0, 1.5), (2.0,))}
    (tmp_path / "beta.json").write_text(json.dumps(as_json(replace(SWEEP, metrics=SWEEP.metrics | more))), "utf-8")
    assert read_sweep(tmp_path / "beta.json").metrics.keys() == {*NAMES, "train_vae.val_loss"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points": None}, "is no sweep; write it with"),
        ({"params": [1]}, "is no sweep"),
        ({"points": [{"beta": 1.0}]}, "is no sweep"),
        ({"points": []}, "is no sweep"),
        ({"points": points(seeds="12")}, "is no sweep"),
        ({"points": points(beta=True)}, "is no sweep"),
        ({"points": points(metrics={name: [float("nan")] for name in NAMES})}, "is no sweep"),
        ({"points": points(metrics={"evaluate_vae.rate": [1.0]})}, "metrics: has no evaluate_vae.distortion"),
        ({"points": points(seeds=[1, 2])}, r"found \[1\] numbers for \[2\] seeds; allowed: one each"),
        ({"points": points(seeds=[])}, "seeds: found none; allowed: at least one"),
        ({"points": points() * 2}, "beta: found 0.5, 0.5; allowed: values in rising order"),
        (
            {"parameter": "seed", "points": [{"seed": 1, "seeds": [1], "metrics": {}}]},
            "found 'seed'; allowed: lambda, beta, or a parameter of gan or vae",
        ),
    ],
)  # fmt: skip
def test_what_is_no_sweep_is_refused_in_one_line_with_its_file(tmp_path, changes, told):
    with pytest.raises(UserError, match=told) as caught:
        read_sweep(written(tmp_path / "beta.json", **changes))
    assert "beta.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "nonsense", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"x\.json: is no sweep"):
        read_sweep(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"y\.json: cannot be read"):
        read_sweep(tmp_path / "y.json")


def grid(path, columns=10, rows=4):
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (columns * 5 + 1, rows * 5 + 1)).save(path)
    return path.read_bytes()


def test_pictures_are_read_with_the_sweep_and_those_of_other_values_are_not(tmp_path):
    path = written(tmp_path / "beta.json")
    names = ("samples", "reconstructions")
    files = {(name, value): grid(picture_path(path, name, value)) for name in names for value in (2.0, 3.0)}
    grid(picture_path(path, "samples", 0.5))  # without its reconstructions
    assert read_sweep(path) == replace(SWEEP, pictures={2.0: {name: files[name, 2.0] for name in names}})


@pytest.mark.parametrize("fault", [{"columns": 9}, {"rows": 1}, None])
def test_a_picture_that_is_no_grid_is_refused_in_one_line(tmp_path, fault):
    path = written(tmp_path / "beta.json")
    for name in ("samples", "reconstructions"):
        grid(picture_path(path, name, 2.0), **(fault or {}))
    if fault is None:
        picture_path(path, "samples", 2.0).write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"samples_2\.png: is no grid of 10 columns; remove it, or write it again with"):
        read_sweep(path)


@pytest.fixture
def asked(finished):
    return read_params(finished / "params.yaml").flat()


def rings(plot):
    figure = matplotlib.figure.Figure()
    plot.draw(figure, LIGHT)
    return [line.get_xydata().tolist() for panel in figure.axes for line in panel.lines if line.get_mfc() == "none"]


def test_a_run_like_those_of_a_sweep_is_marked_where_it_stands(finished, asked):
    beta, weight = in_context(read_results(finished), asked)
    assert not beta.otherwise
    assert rings(beta.plot) == [[[25.2, 76.1]]]
    assert "ring is this run" in beta.plot.caption
    assert weight.otherwise == {"gan.epochs": "8"}
    assert rings(weight.plot) == []
    assert "ring" not in weight.plot.caption


def test_a_glance_marks_a_run_of_other_settings_with_a_dashed_ring_unless_it_is_far_off(workspace, change, asked):
    def marks():
        plot = in_context(read_results(root), asked)[1].glance
        figure = matplotlib.figure.Figure()
        plot.draw(figure, LIGHT)
        panel = figure.axes[0]
        dashed = [it for it in panel.collections if not len(it.get_facecolor()) and it.get_linestyle()[0][1]]
        return [it.get_offsets().tolist() for it in dashed], "dashed ring" in plot.caption

    root = workspace()
    assert marks() == ([], False)  # 22.81, and the curve goes from 0.5 to 2
    change(root / "metrics/evaluate_gan.json", fd_test=2.5)
    assert marks() == ([[[1.0, 2.5]]], True)


def test_of_the_other_model_s_params_no_difference_is_told(finished, asked):
    beta, weight = in_context(read_results(finished), asked | {"gan.epochs": 8, "vae.epochs": 3})
    assert beta.otherwise == {"vae.epochs": "50"}
    assert not weight.otherwise
    assert rings(weight.plot) == [[[1.0, 22.81]]]


def test_values_and_seeds_are_told(finished, asked):
    beta, weight = in_context(read_results(finished), asked)
    assert (beta.values, beta.seeds) == ("0.5, 1, 2", "42")
    assert (weight.values, weight.seeds) == ("0.5, 1, 2", "1, 2")


def test_without_sweeps_there_is_nothing_to_tell(finished, asked, workspace):
    root = workspace()
    for file in (root / "metrics/sweeps").glob("*.json"):
        file.unlink()
    assert in_context(read_results(root), asked) == []


def kept(root, name, **changes):
    written(root / f"metrics/sweeps/{name}.json", **changes)
    return in_context(read_results(root), read_params(root / "params.yaml").flat())


@pytest.mark.parametrize(("key", "told"), [("vae.nonsense", "which is none in"), ("gan.arch", "which is no number in")])
def test_a_sweep_of_what_is_no_number_here_is_refused(workspace, key, told):
    metrics = {name: [1.0] for name in COLUMNS[key.split(".")[0]]}
    with pytest.raises(UserError, match=rf"x\.json: parameter: found '{key}', {told} params.yaml"):
        kept(workspace(), "x", parameter=key, points=[{key: 1.0, "seeds": [1], "metrics": metrics}])


def test_two_sweeps_of_one_parameter_are_two_figures(workspace):
    shown = kept(workspace(), "beta_long")
    assert [it.plot.name for it in shown] == ["beta_sweep", "beta_long_sweep", "lambda_sweep"]


def test_a_parameter_that_the_file_does_not_tell_is_a_difference(workspace, asked):
    _, shown, _ = kept(workspace(), "beta2", params={key: value for key, value in asked.items() if key != "vae.width"})
    assert shown.otherwise == {"vae.width": "–"}
    assert rings(shown.plot) == []


def test_what_is_measured_beside_the_curves_makes_no_difference(finished, asked):
    beta, _ = in_context(read_results(finished), asked | {"evaluate.resamples": 11, "evaluate.inversion_steps": 3})
    assert not beta.otherwise
    beta, _ = in_context(read_results(finished), asked | {"evaluate.samples": 500})
    assert beta.otherwise == {"evaluate.samples": "10000"}


def test_other_digits_of_one_s_own_are_a_difference_and_a_path_that_is_not_read_is_none(workspace, asked):
    root, own = workspace(), asked | {"data.source": "idx"}
    written(root / "metrics/sweeps/beta.json", params=own | {"data.path": "/home/me/letters"})
    assert in_context(read_results(root), own | {"data.path": "idx"})[0].otherwise == {"data.path": "letters"}
    assert not in_context(read_results(root), own | {"data.path": "letters"})[0].otherwise


def test_on_a_logarithmic_axis_there_is_no_ring_at_zero(workspace, asked):
    metrics = {name: [1.0] for name in COLUMNS["gan"]}
    points = [{"gan.r1": value, "seeds": [1], "metrics": metrics} for value in (0.1, 1.0)]
    root = workspace()
    written(root / "metrics/sweeps/r1.json", parameter="gan.r1", points=points, params=asked)
    shown = in_context(read_results(root), asked | {"gan.r1": 0.0})[-1]
    assert not shown.otherwise
    assert rings(shown.plot) == []
    assert "ring" not in shown.plot.caption
