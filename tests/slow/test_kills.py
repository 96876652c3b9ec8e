"""Trainings that are killed with kill -9 again and again leave the same bytes as those that nobody touched."""

import hashlib
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_repository import ROOT, call, environment, fresh_repository

KILLS = 20
EPOCHS, STEPS = 5, 9  # in batches of 32 of 288 images
DRIVER = ROOT / "tests" / "slow" / "killed_stage.py"
CASES = {
    "classifier": ("train_classifier", {}),
    "dcgan": ("train_gan", {}),
    "mlp vae": ("train_vae", {}),
    "mlp gan with dropout": ("train_gan", {"gan.arch": "mlp", "gan.d_steps": "2", "gan.loss": "wasserstein"}),
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
