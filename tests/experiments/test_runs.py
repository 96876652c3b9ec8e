"""Runs as git keeps them: params, metrics and grids, and curves out of DVC's cache."""

import json
import shutil
import subprocess

import pytest
from dvc.repo import Repo

from genbalance.experiments.runs import (
    ABSENT,
    LISTED,
    cached_out,
    curves,
    differing,
    find_commits,
    read_run,
    sample_grids,
)
from genbalance.runtime.errors import UserError

BASELINES = ("0a" + "1" * 38, "ff" + "2" * 38)
PARAMS = "beta: 1.0\nseed: 3\nvae: {arch: mlp, widths: [2, 3], limit: .inf}\ntracking: {experiment: mine}\n"
METRICS = {"nelbo": 100.5, "active_units": 7}


class Repository:
    """The working directory of the test."""

    def __init__(self, path):
        self.path = path
        self.clock = 1_700_000_000
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments, text=None):
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.path, input=text, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, ref, params=PARAMS, metrics=METRICS, files=None):
        """A commit without parents that ``ref`` names, newer than all before it."""
        self.clock += 60
        files = {"params.yaml": params, "metrics/evaluate_vae.json": json.dumps(metrics)} | (files or {})
        lines = [f"commit {ref}\ncommitter a <a@example.org> {self.clock} +0000\ndata 1\nm\ndeleteall\n".encode()]
        for path, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            lines.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
        self.git("fast-import", "--quiet", "--force", text=b"".join(lines))
        return self.git("rev-parse", ref)

    def experiment(self, name, baseline=BASELINES[0], **content):
        return self.commit(f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", **content)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Repository(tmp_path)


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_pattern_finds_experiments_by_their_names(repository):
    commits = {name: repository.experiment(name) for name in ("base-1", "base-2", "based", "other")}
    assert find_commits("base-*") == {commits["base-1"]: "base-1", commits["base-2"]: "base-2"}
    assert find_commits("other") == {commits["other"]: "other"}
    assert set(find_commits("base-[2-9], other").values()) == {"base-2", "other"}


def test_a_revision_is_found_in_any_of_gits_spellings(repository):
    commit = repository.commit("refs/heads/main")
    repository.git("tag", "v1", commit)
    for text in ("main", "HEAD", "v1", commit, commit[:10]):
        assert find_commits(text) == {commit: text}


def test_a_commit_counts_once_however_often_it_is_named(repository):
    main, base = repository.commit("refs/heads/main"), repository.experiment("base-1")
    assert find_commits("main,HEAD,base-1,base-*") == {main: "main", base: "base-1"}


def test_of_experiments_with_one_name_the_newest_is_meant(repository):
    repository.experiment("base-1", BASELINES[1])
    newest = repository.experiment("base-1", BASELINES[0], params="seed: 4")
    assert find_commits("base-1") == find_commits("base-*") == {newest: "base-1"}
    newest = repository.experiment("base-1", BASELINES[1], params="seed: 5")
    assert find_commits("base-*") == {newest: "base-1"}


def test_what_dvc_keeps_beside_the_experiments_is_none(repository):
    for ref in ("refs/exps/exec/EXEC_HEAD", "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/apply/x"):
        repository.commit(ref)
    assert "there are no experiments here" in refusal(find_commits, "*")


@pytest.mark.parametrize(
    "text", ["bass-*", "nothing", "", "base-1,nothing", "--all", "HEAD..main", "^main", "main:params.yaml"]
)
def test_what_stands_for_nothing_is_refused_with_the_experiments_there_are(text, repository):
    repository.commit("refs/heads/main")
    repository.experiment("base-1")
    repository.experiment("beta4-1")
    message = refusal(find_commits, text)
    assert message.startswith(repr(text.rpartition(",")[2]))
    assert message.endswith("experiments: beta4-1, base-1")


def test_a_long_list_of_experiments_ends_with_how_many_more_there_are(repository):
    for number in range(LISTED + 3):
        repository.experiment(f"e{number}")
    message = refusal(find_commits, "nothing")
    assert message.count(",") == LISTED - 1
    assert message.endswith("e3 and 3 older")


def test_a_name_that_is_an_experiment_and_another_revision_is_refused(repository):
    main, experiment = repository.commit("refs/heads/main"), repository.experiment("main")
    message = refusal(find_commits, "main")
    assert main[:8] in message
    assert experiment[:8] in message
    repository.git("update-ref", "refs/heads/main", experiment)
    assert find_commits("main") == {experiment: "main"}


def test_outside_a_repository_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert refusal(find_commits, "main") == f"{tmp_path}: is in no git repository"
    monkeypatch.setenv("PATH", "")
    assert refusal(find_commits, "main") == "git: is not installed, or not on the PATH"


def test_a_run_holds_its_params_and_its_numbers(repository):
    metrics = METRICS | {
        "per_class": {"0": {"accuracy": 0.5}, "1": 1},
        "ci95": {"nelbo": 3.5, "fd": [1, 2]},
        "class_histogram": {"0": 0.1},
        "title": "MNIST",
        "flag": True,
        "nothing": None,
    }
    files = {"metrics/prepare.json": '{"train": 3600}', "metrics/picture.png": "x", "metrics/deeper/a.json": '{"a": 1}'}
    commit = repository.experiment("base-1", metrics=metrics, files=files)
    run = read_run("base-1", commit)
    assert (run.name, run.commit, run.seed) == ("base-1", commit, 3)
    assert run.params == {"beta": 1.0, "vae.arch": "mlp", "vae.widths": "[2, 3]", "vae.limit": "inf"}
    assert run.metrics == {
        "evaluate_vae.nelbo": 100.5,
        "evaluate_vae.active_units": 7,
        "evaluate_vae.per_class.0.accuracy": 0.5,
        "evaluate_vae.per_class.1": 1,
        "prepare.train": 3600,
    }


@pytest.mark.parametrize(
    ("params", "metrics", "expected"),
    [
        ("seed: 1\nfamilies: {gan: true, vae: false}\ngan: {width: 8}\nvae: {width: 8}\n", {}, {"gan"}),
        ("seed: 1\ngan: {width: 8}\nvae: {width: 8}\n", {}, {"gan", "vae"}),
        ("seed: 1\nfamilies: {gan: true, vae: false}\n", METRICS, {"gan", "vae"}),
        ("seed: 1\n", {}, set()),
    ],
)
def test_the_families_of_a_run_are_those_that_are_enabled_or_measured(params, metrics, expected, repository):
    files = {"metrics/prepare.json": '{"train": 3600}'}
    commit = repository.experiment("x", params=params, metrics=metrics, files=files)
    assert read_run("x", commit).families == expected


def test_numbers_that_cannot_be_reckoned_with_are_none(repository):
    text = f'{{"a": NaN, "b": Infinity, "c": -1e400, "d": 1{"0" * 200}, "e": 1e149}}'
    run = read_run("x", repository.experiment("x", files={"metrics/evaluate_vae.json": text}))
    assert run.metrics == {"evaluate_vae.e": 1e149}


def test_a_run_reads_the_same_from_a_folder_and_whatever_the_working_tree_holds(repository, monkeypatch):
    commit = repository.experiment("base-1")
    run = read_run("base-1", commit)
    (repository.path / "params.yaml").write_text("seed: 9")
    (repository.path / "folder").mkdir()
    monkeypatch.chdir(repository.path / "folder")
    assert read_run("base-1", commit) == run
    assert find_commits("base-*") == {commit: "base-1"}


def test_another_file_of_the_code_is_another_code_but_a_readme_is_not(repository):
    first = {"src/package/a.py": "1", "stages/b.py": "1", "dvc.yaml": "1"}
    second = first | {"src/package/a.py": "2", "README.md": "2"}
    runs = [
        read_run("x", repository.commit(f"refs/heads/{n}", files=files))
        for n, files in enumerate((first, first | {"README.md": "1"}, second))
    ]
    assert runs[0].code == runs[1].code
    assert set(runs[0].code) == {"dvc.yaml", "src", "stages"}
    assert list(differing(runs[0].code, runs[2].code)) == ["src"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("beta: 1", r"seed: found \(absent\)"),
        ("seed: many", "seed: found 'many'"),
        ("seed: 1.5", "seed: found 1.5"),
        ("- 1", r"seed: found \(absent\)"),
        ("", r"seed: found \(absent\)"),
        ("seed: 1\nbeta: {", "line 2: is not valid YAML"),
        (b"seed: 1 # \xff", "is not UTF-8"),
    ],
)
def test_params_that_cannot_be_read_are_refused(params, message, repository):
    commit = repository.commit("refs/heads/main", params=params)
    with pytest.raises(UserError, match=f"^mine: params.yaml.*{message}"):
        read_run("mine", commit)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("{", "metrics/evaluate_vae.json: is not JSON"),
        ("", "is not JSON"),
        (b'"\xff"', "is not UTF-8"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "has no numbers"),
        ("{}", "has no numbers"),
    ],
)
def test_metrics_that_cannot_be_read_are_refused(metrics, message, repository):
    commit = repository.commit("refs/heads/main", files={"metrics/evaluate_vae.json": metrics})
    assert message in refusal(read_run, "mine", commit)


def test_settings_differ_in_values_and_in_keys():
    assert differing({"a": 1, "b": 2, "c": None}, {"a": 1.0, "b": 3, "d": 4}, {"a": 1, "b": 2, "c": None}) == {
        "b": (2, 3, 2),
        "c": (None, ABSENT, None),
        "d": (ABSENT, 4, ABSENT),
    }
    assert differing({"a": 1}) == differing({"a": 1}, {"a": 1}) == differing() == {}


def test_a_metric_that_an_earlier_run_had_made_is_none_of_this_one(repository):
    """As `dvc exp run -S seed=3 evaluate@gan` leaves it: the VAE's stage ran with seed 42, before."""
    lock = "stages:\n" + "".join(
        f"  evaluate@{model}:\n    params:\n      params.yaml:\n        seed: {seed}\n"
        f"    outs:\n    - path: metrics/evaluate_{model}.json\n"
        for model, seed in (("vae", 42), ("gan", 3))
    )
    files = {"metrics/evaluate_gan.json": '{"fd_test": 1.5}', "dvc.lock": lock}
    assert read_run("one", repository.experiment("one", files=files)).metrics == {"evaluate_gan.fd_test": 1.5}
    del files["metrics/evaluate_gan.json"]
    assert "no numbers of its own" in refusal(read_run, "two", repository.experiment("two", files=files))
    assert "dvc.lock: is not what DVC" in refusal(
        read_run, "bad", repository.experiment("bad", files={"dvc.lock": "3"})
    )


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
    assert sample_grids(commit, ("train_vae_samples", "train_gan_samples")) == {"train_vae_samples": PNG}
    assert sample_grids(commit, ("train_vae_samples", "train_vae_reconstructions")) == {"train_vae_samples": PNG}
    assert sample_grids(commit, ("train_gan_samples",)) == {}


def test_the_curves_of_a_commit_come_out_of_the_cache(commit):
    assert curves(commit) == {"train_vae": CURVES}


def test_a_file_in_an_out_comes_out_of_the_cache_and_any_other_is_refused(commit, tmp_path):
    lock = {"schema": "2.0", "stages": {"train_vae": {"cmd": "x", "outs": [{"path": "artifacts/train_vae"}]}}}
    (tmp_path / "dvc.lock").write_text(json.dumps(lock))
    git("add", "dvc.lock")
    git("commit", "-qm", "lock")
    head = git("rev-parse", "HEAD")
    assert cached_out("HEAD", head, "artifacts/train_vae/curves.csv") == CURVES
    with pytest.raises(UserError, match=r"HEAD: artifacts/train_vae/none.csv: is not in DVC's cache"):
        cached_out("HEAD", head, "artifacts/train_vae/none.csv")
    with pytest.raises(UserError, match=r"HEAD: made no artifacts/train_vae2/curves.csv"):
        cached_out("HEAD", head, "artifacts/train_vae2/curves.csv")


def test_they_are_found_from_a_folder_within_the_repository(commit, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert curves(commit) == {"train_vae": CURVES}
    assert sample_grids(commit, ("train_vae_samples", "train_gan_samples")) == {"train_vae_samples": PNG}


def test_curves_that_are_not_in_the_cache_are_left_out(commit, tmp_path):
    shutil.rmtree(tmp_path / ".dvc/cache")
    assert curves(commit) == {}


def test_a_repository_without_dvc_has_none(commit, tmp_path):
    shutil.rmtree(tmp_path / ".dvc")
    git("rm", "-rqf", "--cached", ".")
    git("commit", "-qm", "nothing", "--allow-empty")
    assert curves(git("rev-parse", "HEAD")) == {}
    assert sample_grids(git("rev-parse", "HEAD"), ("train_vae_samples",)) == {}
