"""The file of a sweep."""

import json
from dataclasses import replace

import matplotlib.figure
import numpy as np
import pytest
import scipy.stats
from PIL import Image
from reported import FAMILIES

from genbalance.data.pictures import arranged
from genbalance.families.registry import known
from genbalance.reporting.findings import finding
from genbalance.reporting.sweep import SCORES, Sweep, as_json, columns, figure, picture_path, read_sweep, scores
from genbalance.reporting.theme import LIGHT
from genbalance.runtime.errors import UserError

NAMES = columns(FAMILIES["vae"])
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


def test_the_file_holds_the_metrics_of_the_parameter_s_own_family(tmp_path):
    more = {"train_vae.val_loss": ((1.0, 1.5), (2.0,)), "evaluate_gan.fd_test": ((1.0, 1.5), (2.0,))}
    (tmp_path / "beta.json").write_text(json.dumps(as_json(replace(SWEEP, metrics=SWEEP.metrics | more))), "utf-8")
    assert read_sweep(tmp_path / "beta.json").metrics.keys() == {*NAMES, "train_vae.val_loss"}


@pytest.mark.parametrize(
    ("changes", "message"),
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
            "found 'seed'; allowed: lambda, beta, or a parameter of gan",
        ),
    ],
)  # fmt: skip
def test_what_is_no_sweep_is_refused_in_one_line_with_its_file(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
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
    Image.fromarray(arranged(np.zeros((columns * rows, 4, 4), np.uint8), columns)).save(path)
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


def test_each_family_that_a_sweep_measured_has_figures_of_its_own(a_third):
    """Their names, and those of pictures, are behind the family's where there are several."""
    third = known()[a_third]
    both = replace(SWEEP, metrics=SWEEP.metrics | dict.fromkeys(columns(third), ((1.0, 1.5), (2.0,))))
    assert [family.name for family in SWEEP.families] == ["vae"]
    assert {family.name for family in both.families} == {a_third, "vae"}
    assert {figure(both, family).name for family in both.families} == {f"beta_{a_third}_sweep", "beta_vae_sweep"}
    assert both.grids == {
        f"{family.name}_{grid}": f"train_{family.name}_{grid}" for family in both.families for grid in family.grids
    }


def test_a_sweep_of_several_families_comes_back_from_its_file(tmp_path, a_third):
    more = dict.fromkeys(columns(known()[a_third]), ((1.0, 1.5), (2.0,)))
    both = replace(SWEEP, metrics=dict(sorted((SWEEP.metrics | more).items())))
    (tmp_path / "beta.json").write_text(json.dumps(as_json(both)), encoding="utf-8")
    assert read_sweep(tmp_path / "beta.json") == both


SEEDS = ((1, 2, 3), (1, 2))
MIG = ((0.1, 0.2, 0.6), (0.4, 0.5))


def scored(family, seeds=SEEDS, mig=MIG):
    """A sweep that measured all scores of the family, equal ones."""
    some = tuple(tuple(map(float, group)) for group in seeds)
    every = dict.fromkeys(columns(family), some) | {f"evaluate_{family.name}.{key}": mig for key in SCORES}
    return Sweep("beta", {}, (0.5, 2), seeds, every, "beta")


def panels(plot):
    drawn = matplotlib.figure.Figure()
    plot.draw(drawn, LIGHT)
    return {panel.get_ylabel(): panel for panel in drawn.axes}


def test_scores_of_known_factors_stand_beside_the_other_curves_with_their_intervals(a_third):
    for family in (FAMILIES["vae"], known()[a_third]):
        sweep = scored(family)
        plot, plain = figure(sweep, family), figure(replace(sweep, metrics=dict.fromkeys(columns(family), MIG)), family)
        panel = panels(plot)["disentanglement"]
        assert [text.get_text() for text in panel.get_legend().get_texts()] == ["MIG", "SAP", "DCI", "FactorVAE"]
        means = [[0.5, 0.3], [2, 0.45]]
        np.testing.assert_allclose([line.get_xydata() for line in panel.lines if line.get_ls() != "None"], [means] * 4)
        for bars in panel.collections:
            for (value, mean), runs, bar in zip(means, MIG, bars.get_segments(), strict=True):
                low, high = scipy.stats.t.interval(0.95, len(runs) - 1, mean, scipy.stats.sem(runs))
                np.testing.assert_allclose(bar, [[value, low], [value, high]])
        assert len(panel.collections) == 4
        assert "bars: their 95% intervals" in plot.caption
        assert "MIG 0.45 at β = 2" in plot.caption
        assert "disentanglement" not in panels(plain)
        assert panels(plain).keys() < panels(plot).keys()
        assert "MIG" not in plain.caption


def test_one_seed_has_no_interval_and_a_score_that_no_run_measured_no_curve():
    family = FAMILIES["vae"]
    sweep = scored(family, ((1,), (1,)), ((0.1,), (0.4,)))
    assert not panels(figure(sweep, family))["disentanglement"].collections
    assert "interval" not in figure(sweep, family).caption
    less = replace(sweep, metrics={k: v for k, v in sweep.metrics.items() if not k.endswith((".sap", ".mig"))})
    assert list(scores(family, less.metrics).values()) == ["DCI", "FactorVAE"]
    assert len(panels(figure(less, family))["disentanglement"].lines) == 2


def test_what_is_said_of_a_sweep_names_where_each_score_is_best():
    family = FAMILIES["vae"]
    best = "Disentanglement is best by MIG 0.45 at β = 2, SAP 0.45 at β = 2, DCI 0.45 at β = 2 and FactorVAE 0.45 at"
    assert best in finding(scored(family), family).numbers
    assert "isentanglement" not in finding(SWEEP, family).numbers
