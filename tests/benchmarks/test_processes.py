"""What two processes are compared with, and that an epoch that warms up does not count."""

import pytest


def test_two_processes_of_one_thread_are_compared_with_one_of_two_without_the_first_epoch(load, params, monkeypatch):
    benchmark, runs = load("processes"), []

    def train(stage, given, dataset, ended):
        runs.append((stage, given.compute.processes, given.compute.threads, given.gan.epochs))
        for images_per_second in (1.0, *([100.0] * 2 if given.compute.processes == 2 else [50.0] * 2)):
            ended(images_per_second)

    monkeypatch.setattr(benchmark, "train", train)
    found = benchmark.compared("train_gan", params, benchmark.noise(8), 2, 3)
    assert runs == [("train_gan", 2, 1, 3), ("train_gan", 1, 2, 3)] * 2
    assert found["two_processes_images_s"]["median"] == pytest.approx(100)
    assert found["ratio"] == pytest.approx({"median": 2, "least": 2, "largest": 2})
