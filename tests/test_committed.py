"""No test depends on what was run in the working tree, or changes it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from committed import DEFAULTS, PARAMS, _with_defaults
from small_repository import call

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
    compared = {key: value for key, value in DEFAULTS.items() if not key.startswith(INERT)}
    assert {key: value for key, value in flat.items() if not key.startswith(INERT)} == compared


def test_no_test_writes_the_real_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("git add README.md", "git -c a.b=c commit", "git config a.b c", "dvc repro"):
        with pytest.raises(PermissionError, match="in a repository that no test has made"):
            subprocess.run(command.split(), cwd=TESTS / "commands", check=False)
    monkeypatch.chdir(TESTS)
    with pytest.raises(PermissionError):
        subprocess.run(["git", "stash"], check=False)


@pytest.mark.parametrize("hook", ["pre-commit", "pre-push"])
def test_a_hook_that_runs_tests_and_commands_leaves_its_repository_alone(hook: str, tmp_path: Path) -> None:
    """git exports GIT_DIR, GIT_INDEX_FILE and the like to its hooks, above all in a linked worktree."""
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    for command in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        call(main, "git", *command)
    call(main, "git", "init", "-q", "--bare", str(tmp_path / "remote"))
    call(main, "git", "worktree", "add", "-q", "-b", "mine", str(linked))
    (linked / "file").write_text("precious")
    call(linked, "git", "add", "file")
    python, select = shlex.quote(sys.executable), "a_copy or a_removed_file or a_revision or left_alone"
    (main / ".git/hooks" / hook).write_text(
        f"""#!/bin/sh
[ -e "{tmp_path}/variables" ] && exit 1  # a test's own git calls the hook
env | grep ^GIT_ > "{tmp_path}/variables"
cd "{TESTS.parent}"
tests="tests/runtime/test_repository.py tests/experiments/test_runs.py"
{python} -m pytest -q -p no:cacheprovider $tests -k "{select}" >&2 || exit 1
PYTHONPATH=src {python} -m genbalance compare nothing more >&2
touch "{tmp_path}/passed"
exit 1
"""
    )
    (main / ".git/hooks" / hook).chmod(0o755)

    def state() -> list[str]:
        told = (["for-each-ref"], ["ls-files", "-s"], ["config", "--local", "--list"], ["symbolic-ref", "HEAD"])
        return [call(place, "git", *command) for place in (main, linked) for command in told]

    before = state()
    assert "core.bare=false" in before[2]
    asked = ["commit", "-qm", "two"] if hook == "pre-commit" else ["push", "-q", str(tmp_path / "remote"), "mine"]
    told = call(linked, "git", *asked, succeeds=False)
    assert (tmp_path / "passed").exists(), told
    assert "GIT_DIR=" in (tmp_path / "variables").read_text()
    assert "'nothing': is no experiment and no revision" in told
    assert state() == before
