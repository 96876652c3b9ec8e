"""Two branches that both ran, and their merge: in a small pipeline with the project's own settings of git and DVC."""

import shutil
from pathlib import Path

import pytest
from committed import ROOT
from small_repository import call, dvc, stages_run

PIPELINE = """
stages:
  vae:
    cmd: echo vae >> ran; grep beta params.yaml | tr -d "#" > models/vae; wc -c models/vae > metrics/vae.json
    params: [beta]
    outs: [models/vae]
    plots: [metrics/vae.json: {cache: false}]
  gan:
    cmd: echo gan >> ran; grep lambda params.yaml > models/gan; wc -c models/gan > metrics/gan.json
    params: [lambda]
    outs: [models/gan]
    plots: [metrics/gan.json: {cache: false}]
  report:
    cmd: echo report >> ran; cat models/vae models/gan > page; tr "\\n" " " < page > metrics/summary.json
    deps: [models/vae, models/gan]
    outs: [page]
    metrics: [metrics/summary.json: {cache: false}]
"""
PARAMS = "beta: 1\n\n# a line between them, so that git can merge both\n\nlambda: 1\n"


def run(repository: Path, branch: str, *changes: tuple[str, str]) -> None:
    """A branch off `main` with other params, run and committed."""
    call(repository, "git", "checkout", "-q", "main")
    call(repository, "git", "checkout", "-qb", branch)
    params = repository / "params.yaml"
    for old, new in changes:
        params.write_text(params.read_text().replace(old, new))
    call(repository, "dvc", "repro", "-q")
    commit(repository, branch)


def commit(repository: Path, message: str) -> None:
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", message)


def ran(repository: Path) -> list[str]:
    """The stages that ran since it was last asked."""
    file = repository / "ran"
    names = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return names


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` has another β, `two` another λ; `two` is checked out."""
    place = tmp_path_factory.mktemp("both")
    (place / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", place / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", place / ".dvc/.gitignore")
    shutil.copy(ROOT / ".gitattributes", place)
    for folder in ("models", "metrics"):
        (place / folder).mkdir()
    (place / ".gitignore").write_text("/ran\n/models\n/page\n")
    (place / "dvc.yaml").write_text(PIPELINE)
    (place / "params.yaml").write_text(PARAMS)
    call(place, "git", "init", "-q", "-b", "main")
    call(place, "dvc", "repro", "-q")
    commit(place, "main")
    run(place, "one", ("beta: 1", "beta: 20"))
    run(place, "two", ("lambda: 1", "lambda: 300"))
    assert sorted(ran(place)) == sorted(["vae", "gan", "report", "vae", "report", "gan", "report"])
    return place


def test_a_merge_leaves_one_sides_results_whole_and_the_pipeline_makes_those_of_the_merged_params(both: Path) -> None:
    before = (both / "dvc.lock").read_bytes()
    assert "CONFLICT (content): Merge conflict in dvc.lock" in call(both, "git", "merge", "one", succeeds=False)
    assert (both / "dvc.lock").read_bytes() == before
    assert not [path for path in both.glob("metrics/*") if b"<<<" in path.read_bytes()]
    # what docs/team.md says
    assert stages_run(call(both, "dvc", "repro")) == ["report"]
    call(both, "git", "add", "dvc.lock", "metrics")
    call(both, "git", "commit", "-qm", "merged")

    assert "up to date" in dvc(both, "status")
    assert ran(both) == ["report"]  # the models of both came out of the run cache
    assert (both / "metrics/summary.json").read_text().split() == ["beta:", "20", "lambda:", "300"]
    call(both, "dvc", "repro", "-q", "--force", "--no-run-cache")
    assert not call(both, "git", "status", "--porcelain")  # the same, run from the first stage on
