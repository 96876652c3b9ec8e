"""The load of the machine: sampled in a thread, sent with the rest, never in the stage's way."""

import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from genbalance.params import Params
from genbalance.tracking import system, tracked
from genbalance.tracking.system import sampling


def test_the_load_is_sampled_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SECONDS", 0.001)
    samples, enough = [], threading.Event()

    def take(load, milliseconds):
        samples.append((milliseconds, load))
        if len(samples) == 3:
            enough.set()

    with sampling(take):
        assert enough.wait(60)
    count = len(samples)
    assert [thread for thread in threading.enumerate() if thread.name == "system metrics"] == []
    assert len(samples) == count
    assert [time for time, _ in samples] == sorted(time for time, _ in samples)
    for _, load in samples:
        assert 0 <= load["cpu_utilization_percentage"] <= 100
        assert load["system_memory_usage_megabytes"] > 0


def test_a_stage_that_ends_at_once_waits_for_no_sample(repo: Path, params: Params) -> None:
    with tracked("train_gan", params) as run:
        pass
    metrics = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_run(run.run_id).data.metrics
    assert not [name for name in metrics if name.startswith("system/")]


def test_the_load_goes_on_where_a_resumed_run_ended(repo: Path, params: Params) -> None:
    with tracked("train_gan", params) as run:
        for percentage in (10.0, 20.0):
            run.sample({"cpu_utilization_percentage": percentage}, 1000)
    with tracked("train_gan", params, lambda key: run.run_id) as resumed:
        resumed.sample({"cpu_utilization_percentage": 30.0}, 2000)
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    points = client.get_metric_history(run.run_id, "system/cpu_utilization_percentage")
    assert [(point.step, point.value, point.timestamp) for point in points] == [
        (0, 10.0, 1000),
        (1, 20.0, 1000),
        (2, 30.0, 2000),
    ]
