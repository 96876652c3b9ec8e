"""The defaults that the page holds a run against."""

from committed import DEFAULTS, PARAMS, committed

from genbalance.experiments.dvc_lock import leaves
from genbalance.params import parse_yaml, read_params

UNSHOWN = ("checkpoint.", "tracking.")


def test_the_report_s_defaults_are_those_of_params_yaml():
    """A default is changed in both files: the page of an experiment names what that experiment changed."""
    flat = dict(leaves(parse_yaml(committed("params.yaml"), "params.yaml")))
    expected = {key: value for key, value in flat.items() if not key.startswith(UNSHOWN)}
    assert parse_yaml(committed("src/genbalance/reporting/defaults.yaml"), "defaults.yaml") == expected


def test_every_parameter_has_a_default():
    assert {key for key in read_params(PARAMS).flat() if not key.startswith(UNSHOWN)} == DEFAULTS.keys()
