"""The load of the machine while a stage runs: processors, memory, disk, network and GPU, by MLflow's own monitors.

MLflow's thread would send them itself, and wait for a server that is away. This one only samples; the run sends.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

SECONDS = 5.0  # from one sample to the next


@contextmanager
def sampling(take: Callable[[Mapping[str, float], int], None]) -> Iterator[None]:
    """Samples in a thread, the first time after 5 s, until the block ends.

    Args:
        take: is called in that thread with the loads, by MLflow's names, and the time in ms since 1970.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(take, ended), name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _sample(take: Callable[[Mapping[str, float], int], None], ended: threading.Event) -> None:
    if ended.wait(SECONDS):
        return
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        with suppress(Exception):  # no such device, or a system that does not report it
            monitors.append(kind())
    while True:
        load: dict[str, float] = {}
        for monitor in monitors:
            with suppress(Exception):
                monitor.collect_metrics()
                load |= monitor.aggregate_metrics()
                monitor.clear_metrics()
        take(load, time.time_ns() // 1_000_000)
        if ended.wait(SECONDS):
            return
