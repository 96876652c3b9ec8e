"""What all tests share: the machine, and a last word."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("GIT_")]:  # a git hook's lead into the real repository
    del os.environ[name]
if "PYTEST_XDIST_WORKER" in os.environ:  # `make test`: two processes side by side, each with one core for torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # the stages that a test starts take two threads; those that wait are not to spin on the other process's core
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

LONGEST = [Path(__file__).with_name(name) for name in ("test_pipeline.py", "test_other_choices.py")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, one a process of `make test`; whichever is done does the rest."""
    items.sort(key=lambda item: LONGEST.index(item.path) if item.path in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tables and nothing in them: making those takes MLflow seconds, a copy takes none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


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
