"""Pictures and curves of other commits: out of git, and out of DVC's cache."""

import shutil
import subprocess

import pytest
from dvc.repo import Repo

from genbalance.experiment_files import curves, sample_grids

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own

CURVES = b"epoch,val_rate\n1,2.5\n"
PNG = b"\x89PNG\r\n\x1a\n\xff\x00"  # no UTF-8


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """A commit with the curves of one training and one grid; the workspace holds neither any more."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    for path, content in {"artifacts/train_vae/curves.csv": CURVES, "metrics/train_vae_samples.png": PNG}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(content)
    with Repo.init() as repo:
        repo.add("artifacts/train_vae")
    git("add", "-A")
    git("commit", "-qm", "run")
    shutil.rmtree(tmp_path / "artifacts")
    shutil.rmtree(tmp_path / "metrics")
    return git("rev-parse", "HEAD")


def test_the_grids_of_a_commit_are_read_byte_by_byte(commit):
    assert sample_grids(commit) == {"train_vae_samples": PNG}
    assert sample_grids(commit, ("train_vae_samples", "train_vae_reconstructions")) == {"train_vae_samples": PNG}
    assert sample_grids(commit, ("train_gan_samples",)) == {}


def test_the_curves_of_a_commit_come_out_of_the_cache(commit):
    assert curves(commit) == {"train_vae": CURVES}


def test_they_are_found_from_a_folder_within_the_repository(commit, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert curves(commit) == {"train_vae": CURVES}
    assert sample_grids(commit) == {"train_vae_samples": PNG}


def test_curves_that_are_not_in_the_cache_are_left_out(commit, tmp_path):
    shutil.rmtree(tmp_path / ".dvc/cache")
    assert curves(commit) == {}


def test_a_repository_without_dvc_has_none(commit, tmp_path):
    shutil.rmtree(tmp_path / ".dvc")
    git("rm", "-rqf", "--cached", ".")
    git("commit", "-qm", "nothing", "--allow-empty")
    assert curves(git("rev-parse", "HEAD")) == {}
    assert sample_grids(git("rev-parse", "HEAD")) == {}
