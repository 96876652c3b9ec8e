"""No test depends on what was run in the working tree."""

import re
from pathlib import Path

import pytest
from committed import DEFAULTS, PARAMS, _with_defaults

from genbalance.params import INERT, read_params

TESTS = Path(__file__).parent
READ = re.compile(
    r"""(ROOT|REPOSITORY|parents\[\d\]) / f?["'](params\.yaml|dvc\.lock|metrics|models|artifacts|mlflow\.db)"""
)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_results_and_params_are_read_out_of_the_commit(path: Path) -> None:
    if path.name != "committed.py":
        assert not READ.search(path.read_text(encoding="utf-8"))


def test_an_applied_experiment_changes_no_default(tmp_path: Path) -> None:
    text = PARAMS.read_text(encoding="utf-8").replace("beta: 1.0 ", "beta: 4 ").replace("limit: all", "limit: 400")
    (tmp_path / "params.yaml").write_text(_with_defaults(text), encoding="utf-8")
    flat = read_params(tmp_path / "params.yaml").flat()
    assert {key: value for key, value in flat.items() if not key.startswith(INERT)} == DEFAULTS
