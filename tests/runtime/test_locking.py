"""One process a stage and folder, one a content; what is kept is bounded and goes when it is not needed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genbalance.runtime.errors import UserError
from genbalance.runtime.locking import CHECKPOINT, CHECKPOINTS, KEPT, RUN, StageLock

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from genbalance.runtime.locking import StageLock
place = StageLock("toy")
{how}
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def holding(repository):
    """Starts a process that takes something and keeps it; ends it after the test."""
    started = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(how=how)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kept(stage, key, run="run-1"):
    folder = CHECKPOINTS / stage / key
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).write_text("kept")
    (folder / RUN).write_text(run)
    return folder


def test_a_second_process_on_the_stage_in_this_folder_is_refused_until_the_first_is_killed(holding):
    first = holding("place.__enter__()")
    with pytest.raises(UserError, match=r"\.checkpoints/toy\.lock: another process runs this stage in this folder"):
        StageLock("toy").__enter__()
    with StageLock("other"):
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with StageLock("toy"):
        pass


def test_a_stage_that_is_about_to_end_is_waited_for(holding):
    first = holding("place.__enter__()")
    first.terminate()
    with StageLock("toy"):
        pass


def test_a_stage_is_free_again_after_its_block(repository):
    for _ in range(2):
        with StageLock("toy"):
            pass


def test_a_content_is_one_processs_until_it_is_killed(holding):
    first = holding('place.claim("abc")')
    kept_of_another = kept("toy", "def")
    with StageLock("toy") as place:
        assert place.claim("abc") is None
        assert place.resumable("abc") == ""
        place.clear("abc")  # is not ours to remove
        assert (CHECKPOINTS / "toy" / "abc").exists()
        assert place.claim("def") == kept_of_another.resolve()
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert place.claim("abc") == (CHECKPOINTS / "toy" / "abc").resolve()


def test_what_one_object_claimed_another_of_the_process_has_too(repository):
    kept("toy", "abc")
    with StageLock("toy") as place:
        assert place.resumable("abc") == "run-1"
        assert StageLock("toy").claim("abc")
    assert StageLock("toy").claim("abc")


def test_without_a_key_there_is_no_place(repository):
    with StageLock("toy") as place:
        assert place.claim("") is None
        assert place.resumable("") == ""
        place.clear("")
    assert [path.name for path in CHECKPOINTS.iterdir()] == ["toy.lock"]


def test_only_a_checkpoint_makes_a_run_resumable(repository):
    with StageLock("toy") as place:
        assert place.resumable("abc") == ""
        assert not (CHECKPOINTS / "toy").exists()  # asking leaves nothing behind
        folder = kept("toy", "abc")
        assert place.resumable("abc") == "run-1"
        (folder / CHECKPOINT).unlink()
        assert place.resumable("abc") == ""


def test_a_training_that_has_ended_well_leaves_nothing(repository):
    folder = kept("toy", "abc")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "epoch_0001.png").touch()
    other = kept("toy", "def")
    with StageLock("toy") as place:
        place.claim("abc")
        place.clear("abc")
        place.clear("never there")
    assert [path.name for path in (CHECKPOINTS / "toy").iterdir()] == [other.name]


def test_the_oldest_that_nobody_works_in_are_removed(holding):
    for age in range(KEPT + 4):  # 0 is the newest
        folder = kept("toy", f"old-{age:02d}")
        os.utime(folder, (1e9 - age, 1e9 - age))
    holding(f'place.claim("old-{KEPT + 3:02d}")')  # the oldest of all
    os.utime(CHECKPOINTS / "toy" / f"old-{KEPT + 3:02d}", (1, 1))
    elsewhere = kept("another", "old-00")
    with StageLock("toy") as place:
        place.claim("new")
        left = {path.name for path in (CHECKPOINTS / "toy").iterdir() if path.is_dir()}
    assert left == {"new", f"old-{KEPT + 3:02d}"} | {f"old-{age:02d}" for age in range(KEPT)}
    assert elsewhere.exists()
    locks = {path.stem for path in (CHECKPOINTS / "toy").glob("*.lock")}
    assert locks <= left
