"""What the tests of the benchmarks share: everything on a small scale."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from committed import PARAMS
from threadpoolctl import threadpool_limits

from genbalance.data import prepared
from genbalance.params import read_params

ROOT = Path(__file__).parents[2]
SEED = 7


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def params():
    return read_params(PARAMS)


@pytest.fixture
def digits():
    rng = np.random.default_rng(SEED)
    train, val, test = (
        prepared.Split(rng.integers(0, 256, (n, 12, 12), dtype=np.uint8), rng.integers(0, 10, n)) for n in (40, 30, 20)
    )
    return prepared.Prepared(train, val, test, "made", "made up", 10, 0.5, 0.3)
