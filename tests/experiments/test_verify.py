"""`genbalance verify`: what is said of a commit, and the clone that it is run in."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from signals import hears_all
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments import verify as module
from genbalance.experiments.verdict import (
    BEYOND,
    IDENTICAL,
    NOT_RECORDED,
    NOT_RUN,
    WITHIN,
    Stage,
    as_json,
    as_text,
    compare,
    read_state,
    tolerance,
)
from genbalance.experiments.verify import clone, forget, lend, other_packages
from genbalance.runtime.errors import UserError

COMMIT = "c" * 40
SRC = Path(__file__).parents[2] / "src"
METRICS = {"fd": 10.0, "ci95.fd.low": 9.0, "ci95.fd.high": 11.0, "loss": 2.0, "title": "digits"}


def stage(outs=None, metrics=METRICS, machine="cpu A", inputs=None):
    outs = outs or {"models/a": "1", "metrics/a.json": "2"}
    return Stage({"cmd": "python a.py", "src/a.py": "3"} | (inputs or {}), outs, metrics, machine)


def moved(machine="cpu A", **metrics):
    """As `stage`, with other metrics and so with other bytes of its metrics file."""
    return stage({"models/a": "1", "metrics/a.json": "other"}, METRICS | metrics, machine)


def text_of(verdict):
    return as_text(verdict, "main", COMMIT)


# ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_equal_hashes_are_identical_on_any_machine():
    for machine in ("cpu A", "cpu B", ""):
        verdict = compare({"a": stage(), "b": stage()}, {"a": stage(), "b": stage(machine=machine)})
        assert (verdict.word, verdict.holds) == (IDENTICAL, True)
        assert "main (cccccccc): identical: all outs of its 2 stages" in text_of(verdict)


@pytest.mark.parametrize(
    ("fd", "word"), [(10.5, WITHIN), (14.0, WITHIN), (6.0, WITHIN), (14.001, BEYOND), (5.999, BEYOND), (-10.0, BEYOND)]
)
def test_a_metric_with_an_interval_may_move_by_twice_its_width(fd, word):
    verdict = compare({"a": stage()}, {"a": moved("cpu B", fd=fd)})
    assert verdict.stages["a"].word == word
    assert verdict.holds is (word == WITHIN)
    assert f"fd: 10 in the commit, {fd:g} here: a difference of {fd - 10:+.3g}" in text_of(verdict)
    assert "the tolerance of 4" in text_of(verdict)


@pytest.mark.parametrize(("loss", "word"), [(3.0, WITHIN), (1.1, WITHIN), (4.2, BEYOND), (0.9, BEYOND)])
def test_a_metric_without_one_may_move_by_a_share_of_itself(loss, word):
    assert compare({"a": stage()}, {"a": moved("cpu B", loss=loss)}).stages["a"].word == word


def test_the_interval_that_counts_is_that_of_the_fresh_run():
    wide = {"ci95.fd.low": -100.0, "ci95.fd.high": 100.0}
    assert tolerance("fd", 50.0, 10.0, METRICS) == 4.0
    claimed = compare({"a": moved("cpu A", fd=50.0, **wide)}, {"a": stage(machine="cpu B")})
    assert claimed.word == BEYOND
    assert {move.name for move in claimed.stages["a"].moved} == {"fd", *wide}


def test_an_interval_of_no_width_leaves_the_share():
    flat = {"fd": 1.0, "ci95.fd.low": 1.0, "ci95.fd.high": 1.0}
    assert tolerance("fd", 1.0, 1.0, flat) == pytest.approx(0.55)


def test_an_extrapolation_is_judged_as_what_it_is_of_and_a_z_value_by_chance():
    fresh = {"fd_test": 1.0, "ci95.fd_test.low": 0.5, "ci95.fd_test.high": 1.5}
    assert tolerance("fd_infinity", 0.1, -0.1, fresh) == tolerance("fd_test", 1.0, 1.1, fresh) == 2.0
    assert tolerance("copying_z", 0.1, -0.1, fresh) == tolerance("copying_z", 90.0, 9.0, fresh) == 4.0


def test_on_the_same_kind_of_machine_only_identical_bytes_hold():
    verdict = compare({"a": stage()}, {"a": moved(fd=10.0001)})
    assert (verdict.word, verdict.same_machine, verdict.holds) == (WITHIN, True, False)
    assert "the same kind as the commit's: all bytes have to be identical" in text_of(verdict)
    assert "not reproduced, 1 of 1 stage not identical: a" in text_of(verdict)


def test_on_another_kind_it_is_the_tolerance_that_counts_and_both_are_named():
    verdict = compare({"a": stage()}, {"a": moved("cpu B", fd=10.0001)})
    assert (verdict.same_machine, verdict.holds) == (False, True)
    text = text_of(verdict)
    assert "machine: cpu B\n  a different kind than the commit's: metrics have to be within the tolerance\n" in text
    assert "of the commit: cpu A" in text
    assert text.endswith("within tolerance, on another kind of machine than the commit's")


@pytest.mark.parametrize(("was", "now"), [("", "cpu A"), ("", ""), ("cpu A", "")])
def test_where_a_machine_is_not_known_only_identical_bytes_hold(was, now):
    verdict = compare({"a": stage(machine=was)}, {"a": moved(now, fd=10.0001)})
    assert (verdict.same_machine, verdict.holds) == (None, False)


def test_bytes_alone_that_differ_are_within_tolerance_on_another_machine_alone():
    other = {"models/a": "9", "metrics/a.json": "2"}
    for machine, holds in (("cpu A", False), ("cpu B", True)):
        verdict = compare({"a": stage()}, {"a": stage(other, machine=machine)})
        assert (verdict.word, verdict.holds) == (WITHIN, holds)
        assert "models/a: differs" in text_of(verdict)


@pytest.mark.parametrize("metrics", [{"title": "letters"}, {"fd": "10"}, {"fd": True}, {"fd": None}, {"more": 1.0}])
def test_a_text_that_differs_and_a_number_that_is_not_there_are_no_matter_of_tolerance(metrics):
    verdict = compare({"a": stage()}, {"a": moved("cpu B", **metrics)})
    (move,) = verdict.stages["a"].moved
    assert (verdict.word, verdict.holds, move.tolerance) == (BEYOND, False, None)
    assert f"{move.name}: " in text_of(verdict)


@pytest.mark.parametrize("side", [0, 1])
def test_an_out_that_one_side_lacks_is_beyond_any_tolerance(side):
    sides = [stage(), stage(machine="cpu B")]
    sides[side] = replace(sides[side], outs={"metrics/a.json": "2"})
    verdict = compare({"a": sides[0]}, {"a": sides[1]})
    assert (verdict.word, verdict.holds) == (BEYOND, False)
    assert ("models/a: only here", "models/a: not made here")[side] in text_of(verdict)


def test_a_stage_that_one_side_lacks_fails():
    both, one = {"a": stage(), "b": stage()}, {"a": stage()}
    for verdict, word in ((compare(both, one), NOT_RUN), (compare(one, both), NOT_RECORDED)):
        assert (verdict.word, verdict.holds, verdict.stages["a"].word) == (word, False, IDENTICAL)
        assert f"b  {word}" in text_of(verdict)
    assert not compare(both, {}).holds


def test_a_lock_that_was_written_of_other_code_is_shown():
    verdict = compare({"a": stage(inputs={"src/a.py": "old"})}, {"a": stage()})
    assert verdict.holds
    assert "the commit's dvc.lock records other inputs: src/a.py" in text_of(verdict)


def test_the_worst_few_are_shown_in_order_and_json_has_them_all():
    many = {f"m{i}": float(i) for i in range(1, 10)}
    more = {name: value + 0.01 * value**2 for name, value in many.items()}
    verdict = compare({"a": stage(metrics=many)}, {"a": stage({"models/a": "1", "metrics/a.json": "x"}, more, "cpu B")})
    lines = [line.strip().partition(":")[0] for line in text_of(verdict).splitlines() if "a difference of" in line]
    assert lines == ["m9", "m8", "m7", "m6", "m5"]
    assert "and 4 more with smaller differences" in text_of(verdict)
    written = json.loads(json.dumps(as_json(verdict, "main", COMMIT, ["x 1 (here 2)"]), allow_nan=False))
    assert [move["name"] for move in written["stages"]["a"]["moved"]] == [f"m{i}" for i in range(9, 0, -1)]
    assert (written["commit"], written["same_machine"], written["holds"]) == (COMMIT, False, True)


# ── what is read ────────────────────────────────────────────────────────────────────────────────────────────────────

LOCK = """
schema: '2.0'
stages:
  first:
    cmd: python first.py
    deps: [{path: src/first.py, hash: md5, md5: aa}]
    params: {params.yaml: {seed: 1}}
    outs:
    - {path: data/made, hash: md5, md5: bb.dir}
    - {path: metrics/first.json, hash: md5, md5: HASH}
  second:
    cmd: python second.py
    deps: [{path: data/made, hash: md5, md5: bb.dir}]
    outs: [{path: reports, hash: md5, md5: cc.dir}]
"""
SUMMARY = '{"n": 3, "ci95": {"fd": {"low": 1}}, "machine": "cpu A"}'


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def test_a_state_is_outs_inputs_and_metrics_of_each_stage(tmp_path):
    write(tmp_path, {"dvc.lock": LOCK.replace("HASH", md5(SUMMARY)), "metrics/first.json": SUMMARY})
    first, second = read_state(tmp_path).values()
    assert first.outs == {"data/made": "bb.dir", "metrics/first.json": md5(SUMMARY)}
    assert first.inputs == {"cmd": "python first.py", "src/first.py": "aa", "params": {"params.yaml": {"seed": 1}}}
    assert first.metrics == {"n": 3, "ci95.fd.low": 1}
    assert (first.machine, second.machine) == ("cpu A", "")
    assert "data/made" not in second.inputs


def test_a_metrics_file_that_contradicts_the_lock_can_be_identical_to_nothing(tmp_path):
    for number in ("3", "4"):
        write(tmp_path / number, {"metrics/first.json": SUMMARY.replace("3", number)})
        write(tmp_path / number, {"dvc.lock": LOCK.replace("HASH", md5(SUMMARY))})
    honest, edited = (read_state(tmp_path / number) for number in ("3", "4"))
    assert compare(honest, honest).holds
    verdict = compare(edited, honest)
    assert not verdict.holds
    assert "metrics/first.json: differs; git and dvc.lock contradict each other on it" in text_of(verdict)
    assert "n: 4 in the commit, 3 here" in text_of(verdict)


@pytest.mark.parametrize(
    "text", ["stages: 3", "[]", "stages: {a: {outs: [{md5: 1}]}}", "stages: {a: 1}", "stages: [a]"]
)
def test_a_lock_of_another_making_is_refused_in_a_line(tmp_path, text):
    write(tmp_path, {"dvc.lock": text})
    with pytest.raises(UserError, match=r"^dvc\.lock: is not what DVC writes[^\n]*$"):
        read_state(tmp_path)


def test_what_git_keeps_of_a_run_is_forgotten_before_the_next(tmp_path):
    write(tmp_path, {"dvc.lock": LOCK, "metrics/first.json": SUMMARY, "src/first.py": ""})
    forget(tmp_path, read_state(tmp_path))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["first.py"]
    assert read_state(tmp_path) == {}


def test_packages_of_another_version_are_named_and_those_of_other_systems_are_not(tmp_path):
    from importlib.metadata import version

    file = tmp_path / "requirements.txt"
    file.write_text(
        f"numpy=={version('numpy')} ; python_full_version >= '3' \\\n    --hash=sha256:{'0' * 64}\n"
        "pytest==0.1 \\\n    --hash=sha256:1\nno-such-package==2.0\npytest==0.2 ; sys_platform == 'nowhere'\n"
    )
    expected = [f"pytest 0.1 (here {version('pytest')})", "no-such-package 2.0 (here none)"]
    assert other_packages(file) == expected
    assert other_packages(tmp_path / "none.txt") == []


# ── the clone ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits, a cache that is not empty, raw data that git ignores, and room for temporary folders."""
    for name in list(os.environ):
        if name.startswith("DVC_"):
            monkeypatch.delenv(name)
    path, room = tmp_path / "repo", tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    monkeypatch.setattr("tempfile.tempdir", None)
    ignored = {"data/raw/MNIST/digits.gz": "raw", "data/idx/own": "own", ".dvc/cache/files/md5/aa/bb": "cached"}
    write(path, ignored | {".gitignore": "".join(f"/{name}\n" for name in ignored), ".dvc/config": ""})
    write(path, {"code.py": "one", "params.yaml": "data: {path: data/idx}\n", "data/idx/README": "", "dvc.lock": LOCK})
    git(path, "init", "-q", "-b", "main")
    commit(path, "one")
    write(path, {"code.py": "two"})
    commit(path, "two")
    monkeypatch.chdir(path)
    return path


def git(path, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(path, message):
    git(path, "add", "-A")
    git(path, "commit", "-qm", message)


def left(repository):
    return [path.name for path in (repository.parent / "room").iterdir()]


def test_the_clone_is_at_the_commit_with_an_empty_cache_and_is_gone_afterwards(repository):
    write(repository, {"code.py": "not committed"})
    for revision, text in (("HEAD", "two"), ("HEAD~1", "one")):
        with clone(repository, git(repository, "rev-parse", revision), keep=False) as folder:
            assert git(folder, "rev-parse", "HEAD") == git(repository, "rev-parse", revision)
            assert (folder / "code.py").read_text() == text
            assert not git(folder, "status", "--porcelain", "--", "code.py", "data")
            assert not (folder / ".dvc/cache").exists()
            assert not (folder / "data/raw").exists()
        assert not folder.exists()
    assert not left(repository)


def test_its_cache_is_its_own_whatever_the_users_settings_say(repository, monkeypatch):
    from dvc.repo import Repo

    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(repository.parent / "settings"))
    write(repository.parent / "settings", {"config": f"[cache]\n    dir = {repository / '.dvc/cache'}\n"})
    with clone(repository, git(repository, "rev-parse", "HEAD"), keep=False) as folder, Repo(str(folder)) as repo:
        assert Path(repo.cache.local.path) == folder / ".dvc/cache/files/md5"


def test_an_experiments_commit_and_one_that_no_branch_leads_to_are_cloned(repository):
    experiment = git(repository, "commit-tree", "-m", "exp", "HEAD^{tree}")
    loose = git(repository, "commit-tree", "-m", "loose", "HEAD~1^{tree}")
    git(repository, "update-ref", f"refs/exps/aa/{'b' * 38}/mine", experiment)
    for wanted in (experiment, loose):
        with clone(repository, wanted, keep=False) as folder:
            assert git(folder, "rev-parse", "HEAD") == wanted


def test_it_is_lent_the_raw_data_and_nothing_that_the_commit_holds_is_replaced(repository):
    write(repository, {"data/idx/README": "changed"})
    with clone(repository, git(repository, "rev-parse", "HEAD"), keep=False) as folder:
        lend(repository, folder, Path("data/idx"))
        assert (folder / "data/raw/MNIST/digits.gz").read_text() == "raw"
        assert (folder / "data/idx/own").read_text() == "own"
        assert (folder / "data/idx/README").read_text() == ""
        lend(repository, folder, repository / "elsewhere")
        write(repository, {"mine/images.npz": "a file"})
        lend(repository, folder, Path("mine/images.npz"))
        assert (folder / "mine/images.npz").read_text() == "a file"
        with pytest.raises(UserError, match=r"data\.path: found '\.\./digits'"):
            lend(repository, folder, Path("../digits"))
    assert (repository / "data/raw/MNIST/digits.gz").is_file()


def test_a_kept_clone_stays(repository):
    with clone(repository, git(repository, "rev-parse", "HEAD"), keep=True) as folder:
        pass
    assert left(repository) == [folder.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_pipeline_and_removes_the_clone(repository, number):
    pipeline = "import os, time; open('../pids', 'w').write(f'{os.getpid()} '); time.sleep(600)"
    program = f"""
import subprocess, sys
from genbalance.experiments import verify
real = subprocess.Popen
def popen(command, **options):
    if command[1:3] == ["-m", "dvc"]:
        command = [sys.executable, "-c", {pipeline!r}]
    return real(command, **options)
verify.subprocess.Popen = popen
verify.verify("HEAD", keep=False)
"""
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, preexec_fn=hears_all)
    pids = repository.parent / "room/pids"
    while not (pids.is_file() and pids.read_text().endswith(" ")):
        assert process.poll() is None, process.stderr.read()
        os.sched_yield()
    assert len(left(repository)) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert left(repository) == ["pids"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def invoke(*arguments):
    return CliRunner().invoke(app, ["verify", *arguments])


@pytest.fixture
def pipeline(monkeypatch):
    """A pipeline that leaves what the test says, instead of DVC's."""
    found = {}

    def reproduce(folder):
        assert not (folder / "dvc.lock").exists()
        found["folder"] = folder
        write(folder, found["leaves"])
        return found.get("exit code", 0)

    monkeypatch.setattr(module, "reproduce", reproduce)
    return found


def test_the_command_tells_the_verdict_and_ends_with_its_code(repository, pipeline, tmp_path):
    pipeline["leaves"] = {"dvc.lock": LOCK}
    done = invoke("main", "--json", str(tmp_path / "verdict.json"))
    assert done.exit_code == 0, done.output
    assert "main ({}): identical".format(git(repository, "rev-parse", "main")[:8]) in done.stdout
    assert json.loads((tmp_path / "verdict.json").read_text())["verdict"] == IDENTICAL
    assert not pipeline["folder"].exists()
    assert not git(repository, "status", "--porcelain")
    pipeline["leaves"] = {"dvc.lock": LOCK.replace("cc.dir", "dd.dir")}
    done = invoke()
    assert done.exit_code == 1
    assert "second  within tolerance\n          reports: differs" in done.stdout


def test_a_pipeline_that_fails_is_no_success_whatever_it_left(repository, pipeline):
    pipeline |= {"leaves": {"dvc.lock": LOCK}, "exit code": 255}
    done = invoke()
    assert done.exit_code == 1
    assert "the pipeline ended with exit code 255" in done.stdout


def test_a_dirty_working_tree_is_reported_and_left_out(repository, pipeline):
    write(repository, {"code.py": "changed", "new.py": ""})
    pipeline["leaves"] = {"dvc.lock": LOCK}
    done = invoke()
    assert done.exit_code == 0
    assert "the working tree is dirty (2 paths): only the commit is verified, without these changes" in done.stderr
    assert (repository / "code.py").read_text() == "changed"


def test_a_revision_that_is_none_or_several_or_was_never_run_is_refused_in_a_line(repository, pipeline):
    git(repository, "rm", "-q", "dvc.lock")
    commit(repository, "never run")
    for text, said in (
        ("nope", "'nope': is no experiment and no revision"),
        ("main,HEAD~1", "main,HEAD~1: stands for 2 commits; allowed: one"),
        ("main", "main: has no stages in dvc.lock"),
    ):
        done = invoke(text)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
    assert not left(repository)
