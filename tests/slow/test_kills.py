"""Stages that are killed with kill -9 again and again leave the same bytes and runs as those that nobody touched."""

import hashlib
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_repository import EVERY, ROOT, Left, call, environment, fresh_repository, left, store

from genbalance.params import read_yaml

KILLS = 20
TRACKED = 8  # kills of each stage with its run in MLflow: by turns at a random file and after a random time
TRAININGS = ("train_classifier", "train_gan", "train_vae")
EPOCHS, STEPS = 5, 9  # in batches of 32 of 288 images
DRIVER = ROOT / "tests" / "slow" / "killed_stage.py"
CASES = {
    "classifier": ("train_classifier", {}),
    "dcgan": ("train_gan", {}),
    "mlp vae": ("train_vae", {}),
    "mlp gan with dropout": ("train_gan", {"gan.arch": "mlp", "gan.d_steps": "2", "gan.loss": "wasserstein"}),
    "gan with augmentation and steps ahead": (
        "train_gan",
        {"gan.arch": "mlp", "gan.augment": "color_translation_cutout", "gan.unrolled_steps": "2"},
    ),
    "conv vae with a flow": ("train_vae", {"vae.arch": "conv", "vae.prior": "flow", "vae.updates": "alternating"}),
}

pytestmark = pytest.mark.slow


def changed(text: str, changes: dict[str, str]) -> str:
    """params.yaml with some keys of its sections set."""
    for key, value in changes.items():
        section, name = key.split(".")
        text, count = re.subn(rf"(?ms)^({section}:\n(?:  .*?\n)*?  {name}: )\S+", rf"\g<1>{value}", text)
        assert count == 1, key
    return text


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository whose digits are prepared and whose trainings keep a checkpoint each epoch."""
    repository = fresh_repository(tmp_path_factory.mktemp("kills"))
    small = {"checkpoint.seconds": "0", "compute.threads": "1"}
    for section in ("classifier", "gan", "vae"):
        small |= {f"{section}.epochs": str(EPOCHS), f"{section}.batch_size": "32"}
    path = repository / "params.yaml"
    path.write_text(changed(path.read_text(), small))
    call(repository, "dvc", "repro", "-q", "prepare")
    return repository


def outs(repository: Path) -> dict[str, str]:
    """The MD5 of every file that the trainings leave."""
    files = [path for name in ("models", "artifacts", "metrics") for path in (repository / name).rglob("*")]
    return {str(p.relative_to(repository)): hashlib.md5(p.read_bytes()).hexdigest() for p in files if p.is_file()}


def drive(repository: Path, stage: str, key: str, kind: str, moments: list[int]) -> tuple[list[int], str]:
    """How each process ended, and what all of them told."""
    env = environment() | {"PYTHONPATH": "src", "DVC_ROOT": str(repository)}
    command = [sys.executable, str(DRIVER), stage, key, kind, *map(str, moments)]
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)
    return [int(code) for code in re.findall(r"^ended (-?\d+)$", done.stdout, re.MULTILINE)], done.stderr


def clean(repository: Path) -> None:
    for name in ("models", "artifacts", "metrics", ".checkpoints"):
        shutil.rmtree(repository / name, ignore_errors=True)


@pytest.mark.parametrize("case", CASES)
def test_killed_at_any_step_a_training_leaves_the_same_bytes(case: str, ready: Path) -> None:
    compare(case, ready, "step", lambda draw: draw.randint(1, 3 * STEPS))


@pytest.mark.parametrize("case", ["classifier", "dcgan", "mlp vae"])
def test_killed_at_any_file_a_training_leaves_the_same_bytes(case: str, ready: Path) -> None:
    compare(case, ready, "file", lambda draw: draw.randint(1, 100))


def compare(case: str, repository: Path, kind: str, moment) -> None:
    stage, changes = CASES[case]
    path = repository / "params.yaml"
    before = path.read_text()
    path.write_text(changed(before, changes))
    try:
        clean(repository)
        ended, told = drive(repository, stage, "", kind, [])
        assert ended == [0], told
        whole = outs(repository)
        draw, kills, trainings, resumed = random.Random(f"{case}, {kind}"), 0, 0, 0
        while kills < KILLS:
            clean(repository)
            ended, told = drive(repository, stage, "a" * 64, kind, [moment(draw) for _ in range(KILLS - kills)])
            assert set(ended) <= {0, signal.SIGKILL}, told
            assert ended[-1] == 0
            assert outs(repository) == whole
            assert not list(repository.rglob(".part-*"))
            assert [p.name for p in (repository / ".checkpoints").rglob("*") if p.name != f"{stage}.lock"] == [stage]
            kills += ended.count(signal.SIGKILL)
            trainings += ended.count(0)
            resumed += told.count("resuming after epoch")
        assert resumed
        print(
            f"\n{case}: {kills} kills at a random {kind}, {resumed} times gone on from a checkpoint, "
            f"{trainings} trainings ended, {len(whole)} files each byte by byte as those of the one nobody touched"
        )
    finally:
        path.write_text(before)


@pytest.mark.parametrize("stage", ["train_classifier", "train_gan", "train_vae"])
def test_the_program_itself_killed_under_dvc_leaves_the_same_bytes(stage: str, ready: Path, tmp_path: Path) -> None:
    clean(ready)
    call(ready, "dvc", "repro", "-q", "-s", stage)
    whole = outs(ready)
    call(ready, "dvc", "repro", "-q", "-s", "-f", "--no-run-cache", stage)
    assert outs(ready) == whole
    clean(ready)
    env = environment() | {"PYTHONPATH": "src"}
    command = [sys.executable, f"stages/{stage}.py"]
    with subprocess.Popen(
        command, cwd=ready, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(re.match(rf"{stage} +3/", line) for line in process.stderr)  # the third epoch is over
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert "resuming after epoch" in call(ready, "dvc", "repro", "-s", "-f", "--no-run-cache", stage)
    assert outs(ready) == whole
    print(f"\n{stage}: killed as a program, gone on under DVC, {len(whole)} files byte by byte the same")


@pytest.fixture(scope="module")
def whole(ready: Path) -> Path:
    """The same, with all stages reproduced."""
    clean(ready)
    call(ready, "git", "checkout", "-q", "metrics")
    call(ready, "dvc", "repro", "-q")
    call(ready, "git", "add", "-A")
    call(ready, "git", "commit", "-qm", "reproduced")
    return ready


@pytest.fixture
def put_back(whole: Path) -> Iterator[None]:
    """Leaves the outs as DVC made them: the driver loads torch before a stage pins its instructions."""
    yield
    call(whole, "git", "checkout", "-q", ".")
    call(whole, "dvc", "checkout", "-q", "--force")


def made(repository: Path, stage: str) -> list[Path]:
    """The outs of a stage."""
    return [repository / out["path"] for out in read_yaml(repository / "dvc.lock")["stages"][stage]["outs"]]


def removed(outs: list[Path]) -> None:
    for path in outs:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def contents(outs: list[Path]) -> dict[str, str]:
    files = [file for path in outs for file in ([path] if path.is_file() else path.rglob("*"))]
    return {str(file): hashlib.md5(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def members(repository: Path, stage: str) -> dict[str, str]:
    """The statuses of a stage's runs, by their ids."""
    query = (
        "SELECT runs.run_uuid, status FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
        f"WHERE tags.key = 'genbalance.stage' AND tags.value = '{stage}'"
    )
    return dict(store(repository, query))


@dataclass
class Lost:
    """What the finished runs have less, or twice, of what one has that nobody disturbed."""

    points: int = 0
    doubled: int = 0
    artifacts: int = 0
    runs: int = 0

    def count(self, found: Left, known: Left) -> None:
        self.points += (known[0] - found[0]).total()
        self.doubled += (found[0] - known[0]).total()
        self.artifacts += (known[1] - found[1]).total() + (found[1] - known[1]).total()


def counts(lost: Lost) -> str:
    return (
        f"runs lost {lost.runs}, metric points lost {lost.points}, doubled {lost.doubled}, "
        f"artifacts lost or doubled {lost.artifacts}"
    )


@pytest.mark.parametrize("name", EVERY)
def test_a_killed_stage_loses_no_run_no_point_and_no_artifact(
    name: str, whole: Path, put_back: None, tell: Callable[[str], None]
) -> None:
    stage, outs = name.replace("@", "_"), made(whole, name)
    before = members(whole, stage)
    removed(outs)
    ended, told, said = drive_tracked(whole, stage, "file", [])
    assert ended == [0], told
    expected = contents(outs)
    ticks, took = map(int, re.findall(r"^took (\d+) (\d+)$", said, re.MULTILINE)[0])
    (reference,) = members(whole, stage).keys() - before.keys()
    known = left(whole, reference)

    draw, kills, resumed, finished, lost = random.Random(name), 0, 0, 0, Lost()
    for turn in range(TRACKED):
        if kills >= TRACKED:
            break
        removed(outs)
        before = members(whole, stage)
        kind, most = (("file", ticks), ("time", took))[turn % 2]
        wanted = min(TRACKED // 2, TRACKED - kills)
        ended, told, said = drive_tracked(whole, stage, kind, [draw.randint(1, most) for _ in range(wanted)])
        assert set(ended) <= {0, signal.SIGKILL}, told
        assert ended[-1] == 0
        assert contents(outs) == expected
        now = {run: status for run, status in members(whole, stage).items() if run not in before}
        lost.runs += len(set(re.findall(r"^run (\w+)$", said, re.MULTILINE)) - now.keys())
        assert "RUNNING" not in now.values()
        assert list(now.values()).count("FINISHED") == ended.count(0)
        for run, status in now.items():
            if status == "FINISHED":
                lost.count(left(whole, run), known)
        kills += ended.count(signal.SIGKILL)
        finished += ended.count(0)
        resumed += told.count("resuming after epoch")
    assert lost == Lost()
    assert (resumed > 0) == (stage in TRAININGS)
    again = f"{resumed} resumed from a checkpoint" if stage in TRAININGS else "restarted each time"
    tell(f"{name}: {kills} kills, {again}, {finished} ended, the same bytes each time; {counts(lost)}")


def drive_tracked(repository: Path, stage: str, kind: str, moments: list[int]) -> tuple[list[int], str, str]:
    """How each process ended, what all of them told, and what the driver said."""
    env = environment() | {"PYTHONPATH": "src", "DVC_ROOT": str(repository)}
    command = [sys.executable, str(DRIVER), stage, "tracked", kind, *map(str, moments)]
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)
    ended = [int(code) for code in re.findall(r"^ended (-?\d+)$", done.stdout, re.MULTILINE)]
    return ended, done.stderr, done.stdout


def until(holds: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits, as long as a process lives, until something holds."""
    while not holds():
        try:
            process.wait(timeout=0.05)
            pytest.fail(f"{process.args} has ended: {process.returncode}")
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.parametrize("name", EVERY)
def test_a_stage_whose_dvc_alone_is_killed_ends_and_the_next_start_leaves_the_same(
    name: str, whole: Path, tell: Callable[[str], None]
) -> None:
    stage, outs = name.replace("@", "_"), made(whole, name)
    expected, before = contents(outs), members(whole, stage)
    known = left(whole, next(run for run, status in before.items() if status == "FINISHED"))
    command = ["dvc", "repro", "-s", "-f", "--no-run-cache", name]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=whole, env=environment(), **pipes) as dvc:
        if stage in TRAININGS:
            until(lambda: list((whole / ".checkpoints" / stage).glob("*/checkpoint.pt")), dvc)
        else:
            until(lambda: "RUNNING" in members(whole, stage).values(), dvc)
        dvc.kill()
        told = dvc.stderr.read() if dvc.stderr else ""  # to its end: until the stage has ended too
    assert "the DVC that started it has ended; it ends too" in told
    assert "Traceback" not in told
    again = call(whole, *command)
    assert ("resuming after epoch" in again) == (stage in TRAININGS)
    assert contents(outs) == expected
    now = {run: status for run, status in members(whole, stage).items() if run not in before}
    assert sorted(now.values()) == (["FINISHED"] if stage in TRAININGS else ["FINISHED", "KILLED"])
    lost = Lost()
    lost.count(left(whole, next(run for run, status in now.items() if status == "FINISHED")), known)
    assert lost == Lost()
    how = "resumed from its checkpoint" if stage in TRAININGS else "restarted"
    tell(f"{name}: dvc alone killed, the stage ended with it, {how}, the same bytes; {counts(lost)}")


def test_a_queued_experiment_that_dvc_kills_ends_without_a_traceback(whole: Path, tell: Callable[[str], None]) -> None:
    before = {run for (run,) in store(whole, "SELECT run_uuid FROM runs")}
    call(whole, "dvc", "exp", "run", "--queue", "-n", "killed", "-S", "beta=7", "-S", "vae.epochs=9999")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # the worker would keep a pipe open
    subprocess.run(["dvc", "queue", "start"], cwd=whole, env=environment(), check=True, **silent)

    def statuses() -> dict[str, str]:
        query = "SELECT runs.run_uuid, status, value FROM runs LEFT JOIN tags ON tags.run_uuid = runs.run_uuid "
        found = store(whole, f"{query} AND tags.key = 'genbalance.stage'")
        return {stage or "parent": status for run, status, stage in found if run not in before}

    with subprocess.Popen(["tail", "-f", "/dev/null"], text=True) as beside:  # something to wait beside
        try:
            until(lambda: "train_vae" in statuses(), beside)
            call(whole, "dvc", "queue", "kill", "--force", "killed")
            until(lambda: "RUNNING" not in statuses().values(), beside)
        finally:
            beside.kill()
            call(whole, "dvc", "queue", "stop")
    assert statuses() == {"parent": "KILLED", "train_vae": "KILLED"}
    logs = "".join(path.read_text() for path in (whole / ".dvc/tmp/exps/run").rglob("*.out"))
    assert "the DVC that started it has ended; it ends too" in logs
    assert "Traceback" not in logs
    tell("dvc queue kill --force in train_vae: the stage ended, its run and the parent KILLED, no traceback")
