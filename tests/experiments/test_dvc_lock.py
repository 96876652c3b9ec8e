"""Which outs of a commit are stale, by the project's own dvc.lock, as real DVC wrote it."""

from copy import deepcopy

import pytest
from committed import committed

from genbalance.experiments.dvc_lock import leaves, parse_lock, stale_outputs
from genbalance.params import parse_yaml
from genbalance.runtime.errors import UserError


@pytest.fixture
def stages():
    return deepcopy(dict(parse_lock(committed("dvc.lock"), "dvc.lock")))


@pytest.fixture
def params():
    return dict(leaves(parse_yaml(committed("params.yaml"), "params.yaml")))


def outs(stages, *names):
    return {out["path"] for name in names for out in stages[name]["outs"]}


def test_a_whole_run_has_none(stages, params):
    assert stale_outputs(stages, params, "HEAD") == set()


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("seed", ["prepare"]),
        ("beta", ["train_vae", "train_vae_gan", "evaluate@vae", "evaluate@vae_gan", "report"]),
        ("gan.epochs", ["train_gan", "evaluate@gan", "report"]),
        ("evaluate.resamples", ["evaluate@gan", "evaluate@vae", "evaluate@vae_gan", "report"]),
        ("tracking.experiment", []),
    ],
)
def test_another_value_reaches_what_is_made_with_it_and_what_is_made_of_that(key, first, stages, params):
    params[key] = 7
    assert stale_outputs(stages, params, "HEAD") == outs(stages, *(list(stages) if key == "seed" else first))


def test_a_key_more_or_less_is_another_setting(stages, params):
    assert stale_outputs(stages, params | {"vae.depth": 2}, "HEAD") == outs(
        stages, "train_vae", "evaluate@vae", "report"
    )
    del params["gan.width"]
    assert stale_outputs(stages, params, "HEAD") == outs(stages, "train_gan", "evaluate@gan", "report")


def test_a_stage_that_did_not_see_the_new_input_is_left_over(stages, params):
    """As after `dvc exp run train_gan`: another model, measured by nobody."""
    for out in stages["train_gan"]["outs"]:
        out["md5"] = "0" * 32
    assert stale_outputs(stages, params, "HEAD") == outs(stages, "evaluate@gan", "report")


@pytest.mark.parametrize("entry", [None, [], {"outs": [{}]}, {"outs": 3}, {"params": []}, {"deps": [3]}])
def test_what_dvc_does_not_write_is_refused_in_a_line(entry, params):
    with pytest.raises(UserError, match=r"\Amain: dvc.lock: is not what DVC writes") as caught:
        stale_outputs({"prepare": entry}, params, "main")
    assert "\n" not in str(caught.value)
