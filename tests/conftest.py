"""What all tests share: the machine, and a last word."""

import os
from collections.abc import Callable

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # `make test`: two processes side by side, each with one core for torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # the stages that a test starts take two threads; those that wait are not to spin on the other process's core
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

LONGEST = "test_pipeline.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that the other process of `make test` does the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != LONGEST)


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
