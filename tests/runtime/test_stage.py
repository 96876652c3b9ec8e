"""A stage program from start to end, in a process of its own where how that ends matters."""

import gc
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from committed import PARAMS
from dvc.repo import Repo
from mlflow import MlflowClient
from signals import hears_all

from genbalance.runtime import instructions
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import write_json
from genbalance.runtime.stage import execute, publish

ROOT = Path(__file__).parents[2]
# what a stage logs itself, without what every run has
LOGGED = (
    "SELECT {} FROM {} WHERE key NOT LIKE 'system/%' AND key NOT LIKE 'energy_%' AND key NOT IN ('duration_s', 'co2_g')"
)
PROGRAM = """
import sys, time
from genbalance.runtime.errors import UserError
from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

def main(params: Params, run: Run) -> None:
    {body}

if __name__ == "__main__":
    execute("toy", main)
"""


class Recorded:
    """What was logged to a run."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.values |= values


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of a stage, with neither git nor DVC."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS, tmp_path)
    (tmp_path / "stages").mkdir()
    return tmp_path


@pytest.fixture
def with_store(workplace: Path, tables: Path) -> Path:
    """The same, with a store that has its tables."""
    shutil.copy(tables, workplace)
    return workplace


def start(workplace: Path, body: str) -> subprocess.Popen[str]:
    (workplace / "stages/toy.py").write_text(PROGRAM.format(body=body))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "stages/toy.py"], cwd=workplace, preexec_fn=hears_all, **pipes)


@pytest.fixture
def here(with_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a store for a stage in this process, whose signals it leaves alone."""
    monkeypatch.setattr("genbalance.runtime.stage.signal.signal", lambda *_: None)
    for name in (*instructions.PINNED, *instructions.ELSEWHERE):  # put back after the test
        monkeypatch.setenv(name, "before")
    return with_store


def ended(main: Callable[..., None]) -> object:
    """The exit code of a stage that ends before its end, run in this process."""
    with pytest.raises(SystemExit) as exited:
        execute("toy", main)
    return exited.value.code


def statuses(workplace: Path) -> set[str]:
    with sqlite3.connect(workplace / "mlflow.db") as store:
        return {status for (status,) in store.execute("SELECT status FROM runs")}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_as_killed(number: signal.Signals, code: int, with_store: Path) -> None:
    process = start(with_store, "run.log({'loss': 2.0}, step=1); print('ready', flush=True); time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert statuses(with_store) == {"KILLED"}
    assert "Traceback" not in stderr
    with sqlite3.connect(with_store / "mlflow.db") as store:
        assert store.execute(LOGGED.format("key, value, step", "metrics")).fetchall() == [("loss", 2.0, 1)]


def test_a_user_error_is_a_line_each_and_the_run_failed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main(*_: object) -> None:
        raise UserError("a: one\nb: two")

    assert ended(main) == 1
    assert capsys.readouterr().err == "toy: a: one\ntoy: b: two\n"
    assert statuses(here) == {"FAILED"}


def test_a_checkout_that_cannot_be_written_is_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".checkpoints").write_text("in the folder's place, as unwritable as a read-only disk")
    assert ended(lambda *_: None) == 1
    assert capsys.readouterr().err == "toy: .checkpoints: File exists\n"
    assert statuses(here) == set()


def test_a_full_disk_is_a_line_that_names_the_file_and_leaves_no_part_of_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(*_: object) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 23, before[1]))
        try:
            write_json(Path("metrics/toy.json"), {"text": "x" * (1 << 24)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert ended(main) == 1
    assert capsys.readouterr().err == "toy: metrics/toy.json: File too large\n"
    assert statuses(here) == {"FAILED"}
    assert list((here / "metrics").iterdir()) == []


def test_a_store_without_its_driver_is_a_line_that_says_how_to_install_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # whether it is installed here or not
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://somebody:secret@localhost/runs")
    assert ended(lambda *_: None) == 1
    advice = "pip install 'genbalance[postgresql]'"
    assert capsys.readouterr().err == f"toy: the Python package psycopg is not installed; `{advice}`\n"


def test_artifacts_without_their_driver_are_a_line_and_no_run_stays_open(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    client.create_experiment("genbalance", artifact_location="s3://bucket/runs")
    monkeypatch.setitem(sys.modules, "boto3", None)  # whether it is installed here or not
    assert ended(lambda *_: None) == 1
    advice = "pip install 'genbalance[s3]'"
    assert capsys.readouterr().err == f"toy: the Python package boto3 is not installed; `{advice}`\n"
    assert statuses(here) == {"FAILED"}


def test_an_unexpected_error_shows_its_traceback_and_the_run_failed(with_store: Path) -> None:
    _, stderr = (process := start(with_store, "1 / 0")).communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.startswith("Traceback")
    assert stderr.endswith("ZeroDivisionError: division by zero\n")
    assert statuses(with_store) == {"FAILED"}


def test_file_and_run_hold_equal_numbers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"n": 7000, "pi": 3.14159265358979, "title": "x", "per_class": {"0": 1 / 3, "1": 2e-9 / 3}}
    shown = {"images": "n", "the circle's": "pi"}
    execute("toy", lambda _, run: publish(run, "toy", values, Path("models/toy"), shown))
    assert capsys.readouterr() == ("toy: models/toy: images 7,000, the circle's 3.142\n", "")
    summary = json.loads((here / "metrics/toy.json").read_text())
    assert summary == {"n": 7000, "pi": 3.14159, "title": "x", "per_class": {"0": 0.333333, "1": 6.66667e-10}}
    with sqlite3.connect(here / "mlflow.db") as store:
        logged = dict(store.execute(LOGGED.format("key, value", "latest_metrics")))
    assert logged == {"n": 7000, "pi": 3.14159, "per_class.0": 0.333333, "per_class.1": 6.66667e-10}
    assert statuses(here) == {"FINISHED"}


def test_a_second_process_on_the_stage_is_refused_before_it_opens_a_run(here: Path) -> None:
    first = start(here, "print('ready', flush=True); time.sleep(60)")
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    second = start(here, "print('ready', flush=True)")
    stdout, stderr = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert (second.returncode, stdout) == (1, "")
    refusal = "toy: .checkpoints/toy.lock: another process runs this stage in this folder; wait for it, or stop it\n"
    assert stderr == refusal
    assert len(statuses(here)) == 1
    execute("toy", lambda *_: None)  # the third, in this process
    assert statuses(here) == {"KILLED", "FINISHED"}


@pytest.mark.parametrize("ending", [None, UserError("bad"), ZeroDivisionError(), KeyboardInterrupt()])
def test_what_a_training_kept_goes_when_the_stage_has_ended_well_and_not_before(
    ending: BaseException | None, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = workplace / ".checkpoints" / "toy" / "abc"
    kept.mkdir(parents=True)

    @contextmanager
    def tracked(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(key="abc")
        assert kept.exists()

    def main(*_: object) -> None:
        if ending:
            raise ending

    monkeypatch.setattr("genbalance.runtime.stage.tracked", tracked)
    monkeypatch.setattr("genbalance.runtime.stage.signal.signal", lambda *_: None)
    with pytest.raises((SystemExit, ZeroDivisionError)) if ending else nullcontext():
        execute("toy", main)
    assert kept.exists() is bool(ending)


def test_bad_params_stop_a_stage_before_anything_heavy_loads(workplace: Path) -> None:
    (workplace / "params.yaml").write_text((workplace / "params.yaml").read_text().replace("beta: 1.0 ", "bta: 1.0 "))
    (workplace / "stages/toy.py").write_text(PROGRAM.format(body="pass"))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "stages/toy.py"], capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    heavy = [line for line in lines if line.rpartition("|")[2].strip() in {"torch", "mlflow", "numpy", "filelock"}]
    assert done.returncode == 1
    assert heavy == []
    assert [line[:22] for line in lines if not line.startswith("import time:")] == [
        "toy: params.yaml: beta",
        "toy: params.yaml: bta:",
    ]
    assert not (workplace / "mlflow.db").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("-inf")])
def test_a_number_that_is_none_is_refused_by_name(bad: float, workplace: Path) -> None:
    run = Recorded()
    with pytest.raises(UserError, match=r"metric evaluate\.fd: is (nan|-?inf); allowed: finite"):
        publish(run, "toy", {"evaluate": {"fd": bad}}, Path("models/toy"), {})  # type: ignore[arg-type]
    assert not (workplace / "metrics").exists()
    assert run.values == {}


def test_numbers_of_numpy_are_plain_numbers(workplace: Path) -> None:
    run = Recorded()
    publish(run, "toy", {"n": np.int64(3), "share": np.float32(0.1)}, Path("models/toy"), {})  # type: ignore[arg-type]
    assert json.loads((workplace / "metrics/toy.json").read_text()) == run.values == {"n": 3, "share": 0.1}


@pytest.mark.parametrize(
    ("bits", "precision", "taken"),
    [("portable", "fp32", True), ("native", "fp32", False), ("portable", "bf16", False), ("portable", "auto", False)],
)
def test_a_stage_overrides_what_the_environment_says_of_instructions(
    bits: str, precision: str, taken: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here / "params.yaml"
    text = path.read_text().replace("bits: portable ", f"bits: {bits} ")
    path.write_text(text.replace("precision: fp32 ", f"precision: {precision} "))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")
    found: list[str] = []
    execute("toy", lambda *_: found.append(os.environ["ONEDNN_MAX_CPU_ISA"]))
    assert found == ["AVX2" if taken and instructions._flags() >= instructions.NEEDED else "AVX"]


@pytest.fixture
def under_dvc(with_store: Path) -> Path:
    """A repository of DVC's with two stages, of which the second waits for a file, with a shell around it."""
    waits = "print('ready', flush=True); Path('go').exists() or time.sleep(60)"
    for stage, work in (("first", "pass"), ("toy", waits)):
        body = f"from pathlib import Path; {work}; Path('{stage}.out').write_text('made')"
        program = PROGRAM.format(body=body).replace('"toy"', f'"{stage}"')
        (with_store / f"stages/{stage}.py").write_text(program)
    command = f"{sys.executable} stages/{{}}.py"
    stages = {
        "first": {"cmd": command.format("first"), "outs": ["first.out"]},
        "toy": {"cmd": f"true && {command.format('toy')}; exit $?", "deps": ["first.out"], "outs": ["toy.out"]},
    }
    (with_store / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    Repo.init(no_scm=True).close()
    return with_store


def dvc(workplace: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.Popen(
        command, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hears_all
    )


def runs_by_name(workplace: Path) -> dict[str, list[str]]:
    """The statuses by the name of the run, the oldest first."""
    found: dict[str, list[str]] = {}
    with sqlite3.connect(workplace / "mlflow.db") as store:
        for name, status in store.execute("SELECT name, status FROM runs ORDER BY start_time"):
            found.setdefault(name, []).append(status)
    return found


def test_a_stage_whose_dvc_is_killed_ends_and_is_free_for_the_next_start(under_dvc: Path) -> None:
    first = dvc(under_dvc, "repro")
    assert first.stdout is not None
    assert any(line == "ready\n" for line in first.stdout)
    first.kill()
    printed, _ = first.communicate(timeout=60)  # ends when the stage has closed it too
    assert printed == "toy: the DVC that started it has ended; it ends too\n"
    assert runs_by_name(under_dvc) == {"no-commit": ["KILLED"], "first": ["FINISHED"], "toy": ["KILLED"]}
    (under_dvc / "go").touch()
    again = dvc(under_dvc, "repro")
    printed, _ = again.communicate(timeout=60)
    assert again.returncode == 0, printed
    assert runs_by_name(under_dvc) == {
        "no-commit": ["FINISHED"],
        "first": ["FINISHED"],
        "toy": ["KILLED", "FINISHED"],
    }


def test_what_goes_wrong_in_a_copy_that_a_killed_dvc_left_is_no_traceback(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def tracked(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(key="")

    def main(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'genbalance.runtime.io'", name="genbalance.runtime.io")

    monkeypatch.setattr("genbalance.runtime.stage.tracked", tracked)
    monkeypatch.setattr("genbalance.runtime.stage.signal.signal", lambda *_: None)
    monkeypatch.setattr("genbalance.runtime.stage.dvc_has_ended", lambda: True)
    assert ended(main) == 143
    assert capsys.readouterr().err == "toy: the DVC that started it has ended; it ends too\n"


def test_a_stage_that_was_asked_for_alone_is_a_whole_pipeline_run(under_dvc: Path) -> None:
    done = dvc(under_dvc, "repro", "first")
    printed, _ = done.communicate(timeout=60)
    assert done.returncode == 0, printed
    assert runs_by_name(under_dvc) == {"no-commit": ["FINISHED"], "first": ["FINISHED"]}


def test_what_takes_long_loads_without_the_collector_and_the_work_has_it(here: Path, monkeypatch) -> None:
    (here / "slow_to_load.py").write_text("import gc\n\nCOLLECTED = gc.isenabled()\n")
    monkeypatch.syspath_prepend(here)
    found = []

    def main(*_: object) -> None:
        found.append((sys.modules["slow_to_load"].COLLECTED, gc.isenabled()))

    execute("toy", main, loads="slow_to_load")
    assert found == [(False, True)]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_stage_that_is_refused_leaves_the_collector_on(here: Path) -> None:
    (here / "params.yaml").write_text("seed: none")
    with pytest.raises(SystemExit):
        execute("toy", lambda *_: None)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("stage", "made"),
    [
        ("train_gan", ["artifacts/train_gan", "models/gan.safetensors", "metrics/train_gan_samples.png"]),
        ("evaluate_vae", ["artifacts/evaluate_vae", "metrics/evaluate_vae.json"]),
    ],
)
def test_a_stage_whose_family_is_off_leaves_all_its_outs_at_once_and_no_run(
    stage: str, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family = stage.partition("_")[2]
    text, changes = re.subn(rf"(?m)^(  {family}: +)true", r"\1false", PARAMS.read_text())
    assert changes == 1
    (tmp_path / "params.yaml").write_text(text)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    execute(stage, lambda *_: pytest.fail("it was run"))
    assert all((tmp_path / path).exists() for path in made)
    assert f"families.{family} is false" in capsys.readouterr().out
    assert not (tmp_path / "mlflow.db").exists()


EDITED = """
    from pathlib import Path

    given = Path("params.yaml").read_text()
    Path("params.yaml").write_text(given.replace(f"seed: {params.seed}", "seed: 7", 1))
    Path("out").write_text(f"of the seed {params.seed}")
"""


def test_dvc_records_nothing_of_a_stage_whose_params_were_edited_while_it_ran(with_store: Path) -> None:
    (with_store / "params.yaml").write_text(re.sub(r"(?m)^seed: +\d+", "seed: 42", PARAMS.read_text()))
    (with_store / "stages" / "toy.py").write_text(PROGRAM.format(body=EDITED))
    stage = {"cmd": f"{sys.executable} stages/toy.py", "params": ["seed"], "outs": ["out"]}
    (with_store / "dvc.yaml").write_text(json.dumps({"stages": {"toy": stage}}))
    Repo.init(no_scm=True).close()
    printed, _ = (process := dvc(with_store, "repro")).communicate(timeout=60)
    assert process.returncode
    assert "toy: seed: changed while the stage ran, and DVC would record the new state" in printed
    assert not (with_store / "dvc.lock").exists()
    assert statuses(with_store) == {"FAILED"}
