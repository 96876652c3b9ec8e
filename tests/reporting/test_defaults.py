"""The defaults that the page holds a run against."""

from pathlib import Path

from genbalance.params import INERT, read_params, read_yaml

REPOSITORY = Path(__file__).parents[2]


def test_the_report_s_defaults_are_those_of_params_yaml():
    """Who changes a default changes it in both files: the page of an experiment tells what it changed."""
    flat = read_params(REPOSITORY / "params.yaml").flat()
    expected = {key: value for key, value in flat.items() if not key.startswith(INERT)}
    assert read_yaml(REPOSITORY / "src/genbalance/reporting/defaults.yaml") == expected
