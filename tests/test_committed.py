"""No test depends on what was run in the working tree."""

import os
import re
import subprocess
import sys
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


def test_a_hook_s_git_variables_lead_no_test_elsewhere(tmp_path: Path) -> None:
    """git exports GIT_DIR and the like to its hooks; with them, a test's git would write that repository."""
    (tmp_path / "index").write_text("precious")
    hook = {"GIT_DIR": str(tmp_path), "GIT_WORK_TREE": str(tmp_path), "GIT_INDEX_FILE": str(tmp_path / "index")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / "test_repository.py")]
    done = subprocess.run(command, cwd=TESTS.parent, env=os.environ | hook, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert (tmp_path / "index").read_text() == "precious"
