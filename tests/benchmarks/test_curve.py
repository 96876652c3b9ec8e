"""The curve of β out of one training beside separate ones: its objective, its groups of runs and its table."""

from dataclasses import replace

import pytest

from genbalance.experiments.runs import Run
from genbalance.runtime.errors import UserError

BETAS = (0.1, 0.5, 1, 2, 10)
CURVE = [(beta, 60 + 8 * beta, 40 / (1 + beta)) for beta in BETAS]


def run(name, seed=1, beta=1.0, beta_range="none", rate=20.0, **params):
    parts = {"index_code_mi": rate / 2, "total_correlation": rate / 4, "dimension_wise_kl": rate / 4}
    metrics = {f"evaluate_vae.{key}": value for key, value in {"distortion": 80.0, "rate": 1.0, **parts}.items()}
    given = {"beta": beta, "vae.beta_range": beta_range, "vae.epochs": 50, "vae.arch": "conv", **params}
    return Run(name, "", seed, given, metrics, {})


def test_the_objective_has_the_rate_of_the_prior_n01_and_not_that_of_the_fitted_mixture(load):
    assert load("curve").objective(run("a", beta=2.0)) == 80 + 2 * 20


def test_a_curve_passes_through_its_points_and_lies_smoothly_between(load):
    curve = load("curve")
    for beta, distortion, rate in CURVE:
        assert curve.objective_at(CURVE, beta) == pytest.approx(distortion + beta * rate, rel=1e-12)
    rates = [40.0 - 3 * position for position in range(5)]  # linear in log β
    line = [(2.0**position, 60.0, rate) for position, rate in enumerate(rates)]
    assert curve.objective_at(line, 2.0**2.5) == pytest.approx(60 + 2**2.5 * (40 - 3 * 2.5), rel=1e-12)


def test_the_excess_is_nothing_against_itself_and_a_tenth_against_what_is_a_tenth_lower(load):
    whole = {beta: distortion + beta * rate for beta, distortion, rate in CURVE}
    assert load("curve").excess(CURVE, whole) == pytest.approx(dict.fromkeys(BETAS, 0), abs=1e-12)
    lower = {beta: value / 1.1 for beta, value in whole.items()}
    assert load("curve").excess(CURVE, lower) == pytest.approx(dict.fromkeys(BETAS, 0.1), rel=1e-9)


def test_runs_are_compared_with_those_of_their_own_params_and_seed(load, monkeypatch):
    curve = load("curve")
    monkeypatch.setattr(curve, "read_curve", lambda run: CURVE)
    ranged = run("one", beta_range="[0.1, 10]", **{"vae.epochs": 105})
    runs = [ranged, run("a"), run("b", beta=2.0), replace(ranged, seed=2), run("mlp", **{"vae.arch": "mlp"})]
    conv, mlp = curve.groups(runs)
    assert [each.name for each in conv] == ["one", "a", "b", "one"]
    assert [each.name for each in mlp] == ["mlp"]
    assert curve.compared(mlp) == {}  # no run with a range
    assert curve.compared(conv) == {1: pytest.approx({1.0: 88 / 100 - 1, 2.0: (76 + 2 * 40 / 3) / 120 - 1})}
    with pytest.raises(UserError, match=r"seed 1: found two runs of one kind among one, a, b, again"):
        curve.compared([*conv[:3], run("again")])
    with pytest.raises(UserError, match=r"again: has not measured evaluate_vae.distortion"):
        curve.compared(
            [
                ranged,
                replace(
                    run("again"),
                    metrics={
                        "evaluate_vae.index_code_mi": 1.0,
                        "evaluate_vae.total_correlation": 1.0,
                        "evaluate_vae.dimension_wise_kl": 1.0,
                    },
                ),
            ]
        )


def test_the_table_has_a_row_for_each_beta_and_leaves_out_what_was_not_run(load):
    head, *rows = load("curve").as_text({1: {0.1: 0.01, 4.0: -0.02}, 2: {4.0: 0.04}}).splitlines()
    assert head.split() == ["β", "seed", "1", "seed", "2", "mean"]
    assert [row.split() for row in rows] == [["0.1", "+1.0%", "+1.0%"], ["4", "-2.0%", "+4.0%", "+1.0%"]]


def test_without_a_pair_of_runs_a_line_says_so(load, monkeypatch):
    curve = load("curve")
    monkeypatch.setattr(curve, "find_runs", lambda _: [run("a")])
    monkeypatch.setattr("sys.argv", ["curve", "a"])
    with pytest.raises(UserError, match=r"a: no seed has a run with a vae.beta_range and one without"):
        curve.main()
