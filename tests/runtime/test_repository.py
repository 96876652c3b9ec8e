"""Where the repository is, and which code runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genbalance.experiments.runs import find_commits
from genbalance.experiments.verify import clone
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import LOCAL_VARIABLES, committed, environment, object_id, root, top
from genbalance.tracking.provenance import code_version

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")
NAMES = [
    *("src/package/new é.py", "src/package/two\nlines.py", 'src/package/a\ttab "quoted".py'),
    *([os.fsdecode(b"src/\xe9.py")] if sys.platform == "linux" else []),  # no name on other systems
]


@pytest.fixture(params=["", "projects/mine"], ids=["top", "subfolder"])
def repo(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project, git's top level or a folder of it, the working directory of the test."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    path = tmp_path / "repo" / request.param
    (path / ".dvc").mkdir(parents=True)
    for name in ("src/package", "stages", "metrics"):
        (path / name).mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "requirements.txt", "dvc.lock", "src/package/a.py", "stages/b.py"):
        (path / name).write_text(name)
    run(tmp_path / "repo", "init", "-q")
    run(path, "add", ".")
    run(path, *IDENTITY, "commit", "-q", "-m", "all")
    monkeypatch.chdir(path)
    return path


def run(path: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=path, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another repository, one of whose hooks runs the test, as its environment says."""
    path = tmp_path / "other"
    path.mkdir()
    (path / "file").write_text("precious")
    for command in (["init", "-q"], ["add", "."], [*IDENTITY, "commit", "-qm", "precious"]):
        run(path, *command)
    for name, place in {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}.items():
        monkeypatch.setenv(name, str(path / place))
    monkeypatch.setenv("GIT_PREFIX", "")
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_root_is_dvcs(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo / "src")
    assert root() == repo


def test_the_root_is_gits_top_level_without_dvc(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / ".dvc").rmdir()
    monkeypatch.chdir(repo / "src")
    assert root() == tmp_path / "repo"


def test_the_root_is_dvcs_original_in_a_copy(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(repo))
    monkeypatch.chdir(shutil.copytree(repo, tmp_path / "copy"))
    assert root() == repo


def test_the_root_is_the_working_directory_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert root() == tmp_path
    monkeypatch.setenv("PATH", "")
    assert root() == tmp_path
    assert code_version().short == "no-commit"


def test_a_fresh_checkout_is_clean(repo: Path) -> None:
    version = code_version()
    assert version.commit == run(repo, "rev-parse", "HEAD")
    assert not version.dirty
    assert version.short == version.commit[:8]


def test_what_a_run_itself_writes_is_no_change(repo: Path) -> None:
    before = code_version()
    for name in ("dvc.lock", "metrics/prepare.json", "README.md", "src/package/__pycache__/a.pyc"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("new")
    (top(repo) / ".git/info/exclude").write_text("__pycache__")
    assert code_version() == before


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "src/package/a.py", "stages/b.py", *NAMES])
def test_what_decides_results_is_a_change(name: str, repo: Path) -> None:
    before = code_version()
    (repo / name).write_text("changed")
    after = code_version()
    assert after.changed == (os.fsencode(name).decode(errors="backslashreplace"),)
    assert after.short == f"{before.short}-dirty"
    assert after.content != before.content


def test_a_change_that_the_index_hides_is_a_change(repo: Path) -> None:
    (repo / "params.yaml").write_text("PARAMS.YAML")
    run(repo, "update-index", "--assume-unchanged", "params.yaml")
    assert run(repo, "status", "--porcelain") == ""
    assert code_version().changed == ("params.yaml",)


def test_a_removed_file_is_a_change(repo: Path) -> None:
    (repo / "stages/b.py").unlink()
    assert code_version().changed == ("stages/b.py",)


def test_before_the_first_commit_everything_is_a_change(repo: Path) -> None:
    run(repo, "update-ref", "-d", "HEAD")
    assert code_version().short == "no-commit-dirty"


def test_a_renamed_file_is_another_content(repo: Path) -> None:
    before = code_version().content
    (repo / "src/package/a.py").rename(repo / "src/package/c.py")
    assert code_version().content != before


def test_a_copy_has_the_content_of_its_own_files(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version()
    monkeypatch.setenv("DVC_ROOT", str(repo))
    shutil.copytree(tmp_path / "repo", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy" / repo.relative_to(tmp_path / "repo"))
    assert code_version() == before
    Path("params.yaml").write_text("beta: 4")
    assert code_version().content != before.content


def test_a_committed_file_of_any_name_is_no_change(repo: Path) -> None:
    for name in NAMES:
        (repo / name).write_text(name, errors="surrogateescape")
    run(repo, "add", ".")
    run(repo, *IDENTITY, "commit", "-qm", "names")
    assert not code_version().dirty
    (repo / NAMES[1]).unlink()
    assert code_version().changed == (NAMES[1],)


def test_a_change_beside_the_project_is_none_of_its_code(repo: Path) -> None:
    for name in ("src", "stages"):
        (repo.parent / name).mkdir()
        (repo.parent / name / "other.py").write_text("another project's")
    assert not code_version().dirty


def test_a_commits_files_are_the_projects(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (repo, repo / "src"):
        monkeypatch.chdir(folder)
        assert committed("HEAD", "src/package/a.py") == b"src/package/a.py"
        assert committed("HEAD", "nowhere.py") is None
        assert object_id("HEAD:./src/package") == run(repo, "rev-parse", "HEAD:./src/package")
        assert object_id("HEAD..HEAD") == object_id("nothing") == ""


# ── what a hook inherits ────────────────────────────────────────────────────────────────────────────────────────────


def test_all_that_leads_git_elsewhere_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """But what `git -c` sets: git hands that on to its work in other repositories too."""
    local = set(run(Path(), "rev-parse", "--local-env-vars").split())
    assert local - LOCAL_VARIABLES == {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    for name in local | {"GIT_AUTHOR_NAME"}:
        monkeypatch.setenv(name, "x")
    assert environment().keys() & (local | {"GIT_AUTHOR_NAME"}) == (local - LOCAL_VARIABLES) | {"GIT_AUTHOR_NAME"}


def test_git_is_called_in_one_place() -> None:
    source = Path(__file__).parents[2] / "src"
    calls = re.compile(r"""[\[(]["']git["'],|^ *(import|from) (git|dulwich|pygit2|scmrepo)\b""", re.MULTILINE)
    found = {path.name for path in source.rglob("*.py") if calls.search(path.read_text(encoding="utf-8"))}
    assert found == {"repository.py"}


def test_a_repository_is_read_and_its_hooks_is_left_alone(repo: Path, other: Path) -> None:
    before = snapshot(other)
    assert code_version().commit == run(repo, "rev-parse", "HEAD", env=environment())
    with clone(repo, object_id("HEAD"), keep=False) as project:
        assert (project / "params.yaml").read_text() == "params.yaml"
    assert snapshot(other) == before


# ── where git cannot work ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["as git's own tests", "in fact"])
def foreign(request: pytest.FixtureRequest, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository is somebody else's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    if request.param != "in fact":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    elif os.getuid():
        pytest.skip("only root gives files away")
    else:
        for path in (tmp_path / "repo", tmp_path / "repo" / ".git"):
            os.chown(path, 12345, 12345)
        monkeypatch.delenv("SUDO_UID", raising=False)
    return repo


@pytest.mark.parametrize(
    "asked", [code_version, lambda: find_commits("HEAD"), lambda: committed("HEAD", "params.yaml")]
)
def test_a_repository_of_another_owner_is_refused_with_gits_reason_and_advice(
    asked: Callable[[], object], foreign: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        asked()
    message = str(caught.value)
    assert f"detected dubious ownership in repository at '{tmp_path / 'repo'}'" in message
    (advice,) = re.findall(r"`(git config .*)`", message)
    assert len(message.splitlines()) == 1
    if "GIT_TEST_ASSUME_DIFFERENT_OWNER" not in os.environ:
        run(tmp_path, *shlex.split(advice)[1:])
        asked()


def test_a_working_tree_whose_repository_has_gone_is_refused(repo: Path, tmp_path: Path) -> None:
    """As a linked worktree that alone is mounted into a container."""
    shutil.rmtree(tmp_path / "repo" / ".git")
    (tmp_path / "repo" / ".git").write_text("gitdir: /nowhere/.git/worktrees/repo\n")
    with pytest.raises(UserError, match="not a git repository: /nowhere"):
        code_version()
