"""The curve out of one training on the page."""

import pytest
from committed import PARAMS
from reported import FAMILIES, write_curve

from genbalance.params import read_params
from genbalance.reporting.effects import effects, in_context
from genbalance.reporting.rate_distortion import own_curves
from genbalance.reporting.results import read_results
from genbalance.runtime.errors import UserError

BETAS = (0.1, 1.0, 10.0)


@pytest.fixture
def params():
    return read_params(PARAMS).flat()


@pytest.fixture
def finished_with_a_curve(workspace):
    root = workspace()
    write_curve(root / "artifacts" / "evaluate_vae", BETAS)
    return root


def test_it_is_a_sweep_of_one_seed_with_the_settings_of_the_run(finished_with_a_curve, params):
    results = read_results(finished_with_a_curve, FAMILIES)
    (curve,) = own_curves(results, params)
    assert (curve.key, curve.values, curve.own) == ("beta", BETAS, True)
    assert curve.seeds == ((params["seed"],),) * 3
    assert curve.means("evaluate_vae.rate") == [30.0, 20.0, 10.0]
    assert {family.name for family in curve.families} == {"vae"}
    assert curve.kl_per_latent[1.0] == [5.0, 0.5]
    assert set(curve.pictures[10.0]) == {"samples", "reconstructions"}


def test_a_run_without_a_range_has_none(workspace, params):
    assert not [*own_curves(read_results(workspace(), FAMILIES), params)]


def test_it_is_what_the_page_answers_with_rather_than_runs_of_another_code(finished_with_a_curve, params):
    results = read_results(finished_with_a_curve, FAMILIES)
    contexts = in_context(results, params)
    (answer,) = [it for it in effects(results.families, contexts) if it.key == "beta" and it.family.name == "vae"]
    assert answer.context.sweep.own
    assert "one training" in answer.context.slider.caption
    assert answer.context.slider.stops[0].command == "dvc exp run -S beta=0.1"
    assert answer.context.slider.bars is not None


def test_a_table_that_is_none_is_named(finished_with_a_curve):
    path = finished_with_a_curve / "artifacts" / "evaluate_vae" / "curve.csv"
    path.write_text("beta,rate\n0.1,many\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"curve\.csv: holds something that is not a number"):
        read_results(finished_with_a_curve, FAMILIES)
