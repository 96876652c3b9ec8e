"""Where the repository is, and which code runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from genbalance.repository import root
from genbalance.tracking.code import code_version


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed repository, the working directory of the test."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    path = tmp_path / "repo"
    for name in ("src/package", "stages", "metrics"):
        (path / name).mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "requirements.txt", "dvc.lock", "src/package/a.py", "stages/b.py"):
        (path / name).write_text(name)
    git(path, "init", "-q")
    git(path, "add", ".")
    git(path, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "all")
    monkeypatch.chdir(path)
    return path


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


def test_the_root_is_gits_top_level(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo / "src")
    assert root() == repo


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
    assert version.commit == git(repo, "rev-parse", "HEAD")
    assert not version.dirty
    assert version.short == version.commit[:8]


def test_what_a_run_itself_writes_is_no_change(repo: Path) -> None:
    before = code_version()
    for name in ("dvc.lock", "metrics/prepare.json", "README.md", "src/package/__pycache__/a.pyc"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("new")
    (repo / ".git/info/exclude").write_text("__pycache__")
    assert code_version() == before


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "src/package/a.py", "stages/b.py", "src/package/new é.py"])
def test_what_decides_results_is_a_change(name: str, repo: Path) -> None:
    before = code_version()
    (repo / name).write_text("changed")
    after = code_version()
    assert after.changed == (name,)
    assert after.short == f"{before.short}-dirty"
    assert after.content != before.content


def test_a_change_that_the_index_hides_is_a_change(repo: Path) -> None:
    (repo / "params.yaml").write_text("PARAMS.YAML")
    git(repo, "update-index", "--assume-unchanged", "params.yaml")
    assert git(repo, "status", "--porcelain") == ""
    assert code_version().changed == ("params.yaml",)


def test_a_removed_file_is_a_change(repo: Path) -> None:
    (repo / "stages/b.py").unlink()
    assert code_version().changed == ("stages/b.py",)


def test_before_the_first_commit_everything_is_a_change(repo: Path) -> None:
    git(repo, "update-ref", "-d", "HEAD")
    assert code_version().short == "no-commit-dirty"


def test_a_renamed_file_is_another_content(repo: Path) -> None:
    before = code_version().content
    (repo / "src/package/a.py").rename(repo / "src/package/c.py")
    assert code_version().content != before


def test_a_copy_has_the_content_of_its_own_files(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version()
    monkeypatch.setenv("DVC_ROOT", str(repo))
    monkeypatch.chdir(shutil.copytree(repo, tmp_path / "copy"))
    assert code_version() == before
    Path("params.yaml").write_text("beta: 4")
    assert code_version().content != before.content
