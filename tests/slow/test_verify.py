"""`genbalance verify` through real DVC: an honest commit, one whose number was edited, and one whose lock was."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_repository import EVERY, OFF, ROOT, call, environment, fresh_repository, runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository that was reproduced and committed."""
    repository = fresh_repository(tmp_path_factory.mktemp("honest"))
    params = repository / "params.yaml"  # else no variable makes another machine of this one
    params.write_text(params.read_text().replace("bits: portable", "bits: native"))
    call(repository, "dvc", "repro")
    commit(repository, "reproduced")
    call(repository, "git", "tag", "honest")
    return repository


def commit(repository: Path, message: str) -> None:
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", message)


def verify(repository: Path, *arguments: str, **variables: str) -> tuple[int, str, dict]:
    """Exit code, stdout, and the JSON."""
    verdict = repository.parent / "verdict.json"
    room = repository.parent / "room"
    room.mkdir(exist_ok=True)
    verdict.unlink(missing_ok=True)
    own = {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(room)} | variables
    done = subprocess.run(
        [sys.executable, "-m", "genbalance", "verify", *arguments, "--json", str(verdict)],
        cwd=repository,
        env=environment() | own,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stderr, done.stdout, sep="\n")
    assert not [path for path in room.iterdir() if path.name.startswith("genbalance-verify-")]
    return done.returncode, done.stdout, json.loads(verdict.read_text())


def test_an_honest_commit_is_identical_in_every_stage(honest: Path) -> None:
    code, text, verdict = verify(honest, "honest")
    assert code == 0
    assert "identical: all outs of its 7 stages have the same bytes" in text
    assert {stage["verdict"] for stage in verdict["stages"].values()} == {"identical"}
    assert sorted(verdict["stages"]) == sorted([*EVERY, *OFF])
    assert verdict["same_machine"] is True
    assert not call(honest, "git", "status", "--porcelain")
    assert len(runs(honest)[1]) == len(EVERY)  # the clone's runs went to a store of its own


def test_an_edited_number_and_an_edited_hash_are_found_out(honest: Path) -> None:
    metrics = honest / "metrics/evaluate_vae.json"
    summary = json.loads(metrics.read_text())
    better = summary | {"nelbo": summary["nelbo"] - 1}
    metrics.write_text(metrics.read_text().replace(f'"nelbo": {summary["nelbo"]}', f'"nelbo": {better["nelbo"]}'))
    lock = honest / "dvc.lock"
    recorded = re.search(r"path: models/gan.safetensors\n +hash: md5\n +md5: (\w+)", lock.read_text())
    lock.write_text(lock.read_text().replace(recorded[1], "f" * 32))
    commit(honest, "tampered")
    code, text, verdict = verify(honest)
    assert code == 1
    bad = {name for name, stage in verdict["stages"].items() if stage["verdict"] != "identical"}
    assert bad == {"train_gan", "evaluate@vae"}
    assert set(verdict["stages"]["train_gan"]["differing"]) == {"models/gan.safetensors"}
    (moved,) = verdict["stages"]["evaluate@vae"]["moved"]
    assert (moved["name"], moved["difference"]) == ("nelbo", pytest.approx(1))
    assert "metrics/evaluate_vae.json: differs; git and dvc.lock contradict each other" in text
    assert "nelbo: " in text


def test_other_instructions_are_another_machine_and_the_verdict_is_by_tolerance(honest: Path) -> None:
    code, text, verdict = verify(honest, "honest", OPENBLAS_CORETYPE="Nehalem", MKL_CBWR="COMPATIBLE")
    assert verdict["same_machine"] is False
    assert "a different kind than the commit's: metrics have to be within the tolerance" in text
    words = {name: stage["verdict"] for name, stage in verdict["stages"].items()}
    assert words["prepare"] == "identical"
    assert words["train_vae"] != "identical"
    assert (code == 0) == (set(words.values()) <= {"identical", "within tolerance"})


def test_a_users_environment_leads_no_run_elsewhere_and_changes_no_byte(honest: Path) -> None:
    elsewhere = honest.parent / "elsewhere"
    own = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{elsewhere}.db",
        "DVC_ROOT": str(honest),
        "DVC_SITE_CACHE_DIR": str(elsewhere),
    }
    other = {"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Kathmandu"}
    code, _, _ = verify(honest, "honest", **own, **other)
    assert code == 0
    assert not list(honest.parent.glob("elsewhere*"))
