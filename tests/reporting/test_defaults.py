"""The defaults that the page holds a run against."""

from committed import DEFAULTS, PARAMS, committed

from genbalance.dotted import leaves
from genbalance.params import INERT, read_params
from genbalance.params.reader import parse_yaml


def test_the_report_s_defaults_are_those_of_params_yaml():
    """Who changes a default changes it in both files: the page of an experiment tells what it changed."""
    flat = dict(leaves(parse_yaml(committed("params.yaml"), "params.yaml")))
    expected = {key: value for key, value in flat.items() if not key.startswith(INERT)}
    assert parse_yaml(committed("src/genbalance/reporting/defaults.yaml"), "defaults.yaml") == expected


def test_every_parameter_has_a_default():
    assert {key for key in read_params(PARAMS).flat() if not key.startswith(INERT)} == DEFAULTS.keys()
