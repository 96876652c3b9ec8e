"""What a stage costs: counters as the kernel and NVML have them, an estimate where there are none, and the sums."""

import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from genbalance.params import Params
from genbalance.runtime.errors import UserError
from genbalance.tracking import energy, tracked
from genbalance.tracking.energy import ANY_CORE, CO2, COUNTED, SOURCE, WH, WORLD, Meter, spent

J_PER_WH = 3600
MOST = 262_143_328_850  # µJ, of a real counter


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine without counters, whose CPU seconds the test sets: the stage's ``own`` and everybody's, ``busy``."""
    now = SimpleNamespace(own=100.0, busy=5000.0)
    monkeypatch.setattr(energy, "_cpu_seconds", lambda: now.own)
    monkeypatch.setattr(energy, "_busy_seconds", lambda: now.busy)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "powercap")
    monkeypatch.setattr(energy, "NVIDIA", tmp_path / "nvidiactl")
    for name in (energy.GRID, energy.WATTS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return now


def zone(name: str, kind: str, joules: float, watts: float = 0.0) -> Path:
    """A counter as Linux shows it; returns its file."""
    place = energy.POWERCAP / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "name").write_text(f"{kind}\n")
    (place / "max_energy_range_uj").write_text(f"{MOST}\n")
    (place / "constraint_0_max_power_uw").write_text(f"{watts * 1e6:.0f}\n")
    count(place / "energy_uj", joules)
    return place / "energy_uj"


def work(clock: SimpleNamespace, seconds: float, end: BaseException) -> None:
    clock.own += seconds
    raise end


def count(file: Path, joules: float) -> None:
    file.write_text(f"{joules * 1e6:.0f}\n")


def test_counters_of_processors_and_memory_are_added_and_none_is_counted_twice(clock) -> None:
    (energy.POWERCAP / "intel-rapl").mkdir(parents=True)  # the control type itself, without a counter
    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
    names |= {"intel-rapl-mmio:0": "package-0", "intel-rapl:2": "package-1"}
    files = [zone(name, kind, 10) for name, kind in names.items()]
    meter = Meter("cpu")
    for file in files:
        count(file, 10 + 7200)
    clock.own, clock.busy = 150, 5050  # nobody else works
    assert meter.read() == pytest.approx({WH: 3 * 2, CO2: 3 * 2 / 1000 * WORLD})
    assert meter.tags()[SOURCE] == "rapl"


def test_a_counter_that_has_wrapped_around_goes_on() -> None:
    file = zone("intel-rapl:0", "package-0", MOST / 1e6 - 1600)
    meter = Meter("cpu")
    count(file, 2000)
    assert meter.read()[WH] == pytest.approx(1)
    count(file, 2000 + 3600)
    assert meter.read()[WH] == pytest.approx(2)


def test_two_stages_at_once_share_what_the_counter_counts(clock) -> None:
    file = zone("intel-rapl:0", "package-0", 0)
    meter = Meter("cpu")
    count(file, 4 * J_PER_WH)
    clock.own, clock.busy = clock.own + 10, clock.busy + 40
    assert meter.read()[WH] == pytest.approx(1)
    count(file, 5 * J_PER_WH)
    clock.own, clock.busy = clock.own + 10.2, clock.busy + 10  # clocks tick apart: never more than all
    assert meter.read()[WH] == pytest.approx(2)


def test_counters_that_cannot_be_read_give_an_estimate_by_the_processor_s_design_power(clock, monkeypatch) -> None:
    zone("intel-rapl:0", "package-0", 5, watts=80).unlink()  # as for all but root, whom a mode does not stop
    monkeypatch.setattr(energy.psutil, "cpu_count", lambda logical: 8)
    meter = Meter("cpu")
    clock.own += 360
    assert meter.read()[WH] == pytest.approx(360 * (80 / 8) / J_PER_WH)
    assert meter.tags()[SOURCE] == "estimate"
    assert "estimated, CPU seconds × 10 W a core (the processor's thermal design power" in meter.tags()[COUNTED]


def test_without_any_counter_a_core_takes_what_green_algorithms_assumes(clock) -> None:
    meter = Meter("auto")
    clock.own += 300
    assert meter.read() == pytest.approx({WH: 300 * ANY_CORE / 3600, CO2: 300 * ANY_CORE / 3.6e6 * WORLD})
    words = meter.tags()[COUNTED]
    assert words == (
        "processor: estimated, CPU seconds × 12 W a core (of a processor that is not known, Green Algorithms); "
        "CO₂: 458 g a kWh (the world's mean of 2025, Ember)"
    )


def test_a_counter_that_disappears_gives_way_to_the_estimate(clock) -> None:
    file = zone("intel-rapl:0", "package-0", 0)
    meter = Meter("cpu")
    count(file, J_PER_WH)
    assert meter.read()[WH] == pytest.approx(1)
    file.unlink()
    clock.own += 300
    assert meter.read()[WH] == pytest.approx(1 + 300 * ANY_CORE / 3600)
    assert meter.tags()[SOURCE] == "estimate+rapl"


def test_the_environment_says_what_a_core_takes_and_what_the_grid_emits(clock, monkeypatch) -> None:
    monkeypatch.setenv(energy.GRID, "50")
    monkeypatch.setenv(energy.WATTS, "4.5")
    meter = Meter("cpu")
    clock.own += 1600
    assert meter.read() == pytest.approx({WH: 2, CO2: 0.1})
    assert "4.5 W a core (GENBALANCE_WATTS_PER_CORE); CO₂: 50 g a kWh (GENBALANCE_CO2_PER_KWH)" in meter.tags()[COUNTED]


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_what_is_no_number_is_refused(monkeypatch, text: str) -> None:
    monkeypatch.setenv(energy.GRID, text)
    with pytest.raises(UserError, match=r"^GENBALANCE_CO2_PER_KWH: found '.+'; allowed: a number of at least 0, in g"):
        Meter("cpu")


def test_it_is_refused_before_a_run_is_made(repo: Path, params: Params, monkeypatch) -> None:
    monkeypatch.setenv(energy.WATTS, "12 W")
    with pytest.raises(UserError, match="GENBALANCE_WATTS_PER_CORE"), tracked("train_gan", params):
        pytest.fail("it has begun")
    assert MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_experiment_by_name("genbalance") is None


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A library with a GPU, which counts mJ."""

    class NVMLError(Exception):
        pass

    def total(handle: object) -> int:
        if made.broken:
            raise NVMLError("Not Supported")
        made.asked.append(handle)
        return made.millijoules

    made = SimpleNamespace(
        millijoules=9_000_000,
        broken=False,
        asked=[],
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )
    energy.NVIDIA.touch()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def test_a_gpu_s_counter_is_added_to_the_processor(clock, nvml, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    meter = Meter("cuda")
    nvml.millijoules += 7_200_000
    clock.own += 300
    assert meter.read()[WH] == pytest.approx(2 + 1)
    nvml.broken = True
    assert meter.read()[WH] == pytest.approx(2 + 1)
    nvml.broken, nvml.millijoules = False, nvml.millijoules + 3_600_000
    assert meter.read()[WH] == pytest.approx(2 + 1 + 1)
    assert set(nvml.asked) == {3}
    assert meter.tags()[SOURCE] == "estimate+nvml"


@pytest.mark.parametrize(("device", "visible"), [("cpu", "0"), ("auto", "-1"), ("auto", "")])
def test_a_gpu_that_the_stage_does_not_use_is_left_out(nvml, monkeypatch, device: str, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    meter = Meter(device)
    assert (nvml.asked, meter.tags()[SOURCE]) == ([], "estimate")
    assert "GPU" not in meter.tags()[COUNTED]


def test_a_gpu_that_cannot_be_counted_is_named(nvml, monkeypatch) -> None:
    nvml.broken = True
    assert "GPU: not counted, NVML: Not Supported;" in Meter("auto").tags()[COUNTED]
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if not installed
    assert "GPU: not counted, nvidia-ml-py is not installed" in Meter("auto").tags()[COUNTED]


def test_the_pipeline_s_run_has_the_sum_of_its_stages_also_of_one_that_failed(repo, params: Params, clock) -> None:
    with tracked("train_gan", params) as run:
        clock.own += 300
    with pytest.raises(ValueError, match="no"), tracked("train_vae", params):
        work(clock, 600, ValueError("no"))
    with tracked("train_vae", params):
        clock.own += 900
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    parent, child = (client.get_run(run_id).data for run_id in (run.parent_id, run.run_id))
    assert spent(child.metrics) == pytest.approx({WH: 1, CO2: WORLD / 1000})
    assert spent(parent.metrics) == pytest.approx({WH: 1 + 2 + 3, CO2: 6 * WORLD / 1000})
    assert child.tags[SOURCE] == parent.tags[SOURCE] == "estimate"
    assert len(client.get_metric_history(run.parent_id, WH)) == 3  # at the end of each


def test_an_evaluation_says_what_a_thousand_samples_cost(repo: Path, params: Params, clock) -> None:
    with tracked("evaluate_gan", params) as run:
        run.log({"n": 250, "fd_test": 1.0})
        clock.own += 300
    metrics = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_run(run.run_id).data.metrics
    assert metrics["energy_wh_per_1000_samples"] == pytest.approx(4)


def test_a_stage_that_is_resumed_has_the_cost_of_all_its_processes(repo, params: Params, clock, monkeypatch) -> None:
    """The first is killed outright after a sample, the second by a signal; the third ends it on another machine."""
    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    with suppress(MemoryError), tracked("train_gan", params) as run:
        run.sample({WH: 1.0, CO2: 0.5}, 1000)
        run.flush()
        run.cost = lambda meter: None  # it does not come to that
        raise MemoryError
    assert client.get_run(run.run_id).data.metrics.keys() == {"system/energy_wh", "system/co2_g"}
    with pytest.raises(KeyboardInterrupt), tracked("train_gan", params, lambda key: run.run_id):
        work(clock, 600, KeyboardInterrupt())
    assert spent(client.get_run(run.run_id).data.metrics)[WH] == pytest.approx(1 + 2)
    file = zone("intel-rapl:0", "package-0", 0)
    monkeypatch.setenv(energy.GRID, "0")
    with tracked("train_gan", params, lambda key: run.run_id) as resumed:
        count(file, J_PER_WH)
    found = client.get_run(resumed.run_id).data
    assert resumed.run_id == run.run_id
    assert spent(found.metrics) == pytest.approx({WH: 1 + 2 + 1, CO2: 0.5 + 2 * WORLD / 1000})
    assert found.metrics[WH] == pytest.approx(4)
    assert found.tags[SOURCE] == "estimate+rapl"


def test_a_run_without_a_measurement_cost_nothing_that_is_known() -> None:
    assert spent({"loss": 1.0, "system/cpu_utilization_percentage": 3.0}) == {}
    assert spent({"system/energy_wh": 2.0, "energy_wh": 3.0, "co2_g": 1.0}) == {WH: 3.0, CO2: 1.0}
