"""What all tests share: the machine, the repositories that they may touch, and a last word."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import dvc.logger  # noqa: F401  its handlers keep the first import's streams; those of a test are closed after it
import pytest
from signals import gate
from stores import server

__all__ = ["gate", "server"]

for name in [name for name in os.environ if name.startswith("GIT_")]:  # a git hook's lead into the real repository
    del os.environ[name]
if "PYTEST_XDIST_WORKER" in os.environ:  # `make test`: processes side by side, each with one core for torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # of stages that take two threads, those that wait are not to spin on the core of another process
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

ROOT = Path(__file__).parents[1]
READING = {
    *("cat-file", "diff", "for-each-ref", "hash-object", "log", "ls-files"),
    *("ls-tree", "rev-list", "rev-parse", "show"),
}


def _own_repositories_alone(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses what would write the real repository: a test may do that in those alone that it has made."""
    if event == "subprocess.Popen":
        _, command, folder, _ = arguments
        program, *words = map(os.fsdecode, command)
        writes = Path(program).name == "dvc" or (Path(program).name == "git" and (words or [""])[0] not in READING)
        if writes and Path(os.fsdecode(folder or os.curdir)).resolve().is_relative_to(ROOT):
            raise PermissionError(f"{' '.join([program, *words])}: in a repository that no test has made")


sys.addaudithook(_own_repositories_alone)

MOST = 8  # processes of `make test`


def pytest_xdist_auto_num_workers() -> int:
    """A process for each CPU that this one may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, allowed)


FIRST = ("test_pipeline.py", "test_other_data.py", "test_other_choices.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first; whichever process is done with its own takes the next."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tables and nothing in them: making those takes MLflow seconds, a copy takes none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What a test sets goes with it: a stage that is called in this process pins the instructions of all programs that
    later tests start, but not of this process, whose libraries are loaded."""
    with mock.patch.dict(os.environ):
        yield


@contextmanager
def kept_settings() -> Iterator[None]:
    """What set_up changes for the whole process is put back at the end."""
    import torch
    from threadpoolctl import threadpool_limits

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    # two threads on small matrices take many times as long beside another program
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_rng_state(state)


@pytest.fixture
def settings() -> Iterator[None]:
    """:func:`kept_settings`."""
    with kept_settings():
        yield


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """A function for counts that stand below the tests' result, whichever process the test ran in."""
    return lambda line: record_property("told", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines of `tell`."""
    for report in terminalreporter.getreports("passed"):
        for name, line in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(f"{report.location[0]}: {line}")
