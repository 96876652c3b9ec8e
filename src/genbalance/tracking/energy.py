"""What a stage costs: the energy of the processor and the GPU in Wh, and the CO₂ of the grid that it is taken from.

Counters are read where that is possible: RAPL's of processor and memory, NVML's of an NVIDIA GPU. Where the processor's
cannot be read, its energy is estimated from CPU seconds, and the run says so.
"""

import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from genbalance.runtime.errors import UserError

WH, CO2 = "energy_wh", "co2_g"  # metrics of a stage's run, and of its pipeline's: their sums
SOURCE = "energy.source"  # the tag that says where the numbers come from: rapl, nvml, estimate, or several with +
COUNTED = "energy.counted"  # the tag that says it in words
SYSTEM = "system/"  # before the names of what is sampled while a stage runs
POWERCAP = Path("/sys/class/powercap")
NVIDIA = Path("/dev/nvidiactl")  # there where a driver of NVIDIA's is
GRID = "GENBALANCE_CO2_PER_KWH"
WATTS = "GENBALANCE_WATTS_PER_CORE"
WORLD = 458.0
"""g CO₂e per kWh: the world's mean of 2025. Ember, Global Electricity Review 2026."""
ANY_CORE = 12.0
"""W: the thermal design power per core of a processor that is not known, as Green Algorithms has it (data/latest/
TDP_cpu.csv, "Any"; Lannelongue, Grealey & Inouye 2021, Advanced Science 8, 2100707)."""


class Meter:
    """Adds up what a stage costs, from the moment when it is made.

    RAPL counts all that the machine's processors do: the stage has its share of it, by CPU time. NVML counts all that
    the GPU does. Let no more than minutes pass between two readings: a counter of RAPL's that has wrapped around twice
    looks like one that has done so once.

    Args:
        device: ``compute.device``; cpu leaves the GPU out.

    Raises:
        UserError: ``GENBALANCE_CO2_PER_KWH`` or ``GENBALANCE_WATTS_PER_CORE`` is no number of at least 0.
    """

    def __init__(self, device: str) -> None:
        self._grid, self._grid_source = _setting(GRID, "g CO₂ per kWh") or (WORLD, "the world's mean of 2025, Ember")
        self._watts, self._watts_source = _setting(WATTS, "watts per core") or _design_power()
        self._zones = _zones()
        self._gpu, self._gpu_missing = (None, "") if device == "cpu" else _gpu()
        self._gpu_joules = self._gpu() if self._gpu else 0.0
        self._own, self._busy = _cpu_seconds(), _busy_seconds()
        self._spent = {WH: 0.0, CO2: 0.0}
        self._sources = {"rapl" if self._zones else "estimate"} | ({"nvml"} if self._gpu else set())

    def resume(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Adds what the stage's run has of processes that died, up to their last sample."""
        for name, value in spent(metrics).items():
            self._spent[name] += value
        self._sources |= sources_of(tags)

    def read(self) -> dict[str, float]:
        """:data:`WH` and :data:`CO2` so far."""
        own, busy = _cpu_seconds(), _busy_seconds()
        joules = self._processor(own - self._own, busy - self._busy)
        self._own, self._busy = own, busy
        if self._gpu:
            now = self._gpu()
            joules += max(0.0, now - self._gpu_joules)
            self._gpu_joules = now
        self._spent[WH] += joules / 3600
        self._spent[CO2] += joules / 3600 / 1000 * self._grid
        return dict(self._spent)

    def tags(self) -> dict[str, str]:
        """Where the numbers come from: :data:`SOURCE`, and the same in words, with what is assumed."""
        parts = []
        if "rapl" in self._sources:
            parts.append("processor and memory: counters (RAPL), the stage's share by CPU time")
        if "estimate" in self._sources:
            parts.append(f"processor: estimated, CPU seconds × {self._watts:g} W a core ({self._watts_source})")
        if self._gpu:
            parts.append("GPU: counter (NVML) of the whole GPU")
        elif self._gpu_missing:
            parts.append(f"GPU: not counted, {self._gpu_missing}")
        parts.append(f"CO₂: {self._grid:g} g a kWh ({self._grid_source})")
        return {SOURCE: "+".join(sorted(self._sources)), COUNTED: "; ".join(parts)}

    def _processor(self, own: float, busy: float) -> float:
        """The joules of an interval in which the stage took ``own`` CPU seconds, and the whole machine ``busy``."""
        if self._zones:
            try:
                joules = sum([zone.joules() for zone in self._zones])
                return joules * (min(1.0, own / busy) if busy > 0 else 1.0)
            except (OSError, ValueError):  # a counter that is no longer to be read
                self._zones = []
                self._sources.add("estimate")
        return own * self._watts


def spent(metrics: Mapping[str, float]) -> dict[str, float]:
    """What a stage's run cost by its metrics: at its end, or where it had none, by its last sample. Empty for a run
    that measured nothing, such as one of a restored stage."""
    found = {name: [metrics[key] for key in (name, SYSTEM + name) if key in metrics] for name in (WH, CO2)}
    return {name: max(values) for name, values in found.items() if values}


def sources_of(tags: Mapping[str, str]) -> set[str]:
    """Where the numbers of a run come from."""
    return {source for source in tags.get(SOURCE, "").split("+") if source}


@dataclass
class _Zone:
    """A counter of RAPL's, in µJ; it starts again at 0 after ``most``."""

    file: Path
    most: int
    last: int

    def joules(self) -> float:
        """Since the last call."""
        now = _number(self.file)
        passed = now - self.last if now >= self.last else now - self.last + self.most
        self.last = now
        return max(0, passed) / 1e6


def _zones() -> list[_Zone]:
    """The counters of all processors and of memory; none where one cannot be read, as without root's rights on most
    Linux systems. A processor's own parts (core, uncore) are in its count; psys would count it a second time."""
    zones = []
    for place in sorted(POWERCAP.glob("intel-rapl:*")):  # AMD's are called so too; intel-rapl-mmio: counts the same
        try:
            if (place / "name").read_text().strip().startswith(("package", "dram")):
                file = place / "energy_uj"
                zones.append(_Zone(file, _number(place / "max_energy_range_uj"), _number(file)))
        except (OSError, ValueError):
            return []
    return zones


def _design_power() -> tuple[float, str]:
    """The thermal design power per core in W, and where it comes from: RAPL says it to everybody, also where its
    counters are root's. A virtual machine has none."""
    cores = psutil.cpu_count(logical=False)
    try:
        packages = [p for p in POWERCAP.glob("intel-rapl:*") if (p / "name").read_text().startswith("package")]
        watts = sum(_number(place / "constraint_0_max_power_uw") for place in packages) / 1e6
    except (OSError, ValueError):
        watts = 0.0
    if watts > 0 and cores:
        return watts / cores, "the processor's thermal design power by RAPL"
    return ANY_CORE, "of a processor that is not known, Green Algorithms"


def _gpu() -> "tuple[Callable[[], float] | None, str]":
    """A function that reads NVML's counter of the first GPU that CUDA sees, in J since the driver was loaded; or None,
    and why it cannot be read where there is a GPU."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    if first in ("", "-1") or not NVIDIA.exists():
        return None, ""
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed (pip install 'genbalance[gpu]')"
    try:
        pynvml.nvmlInit()
        by = pynvml.nvmlDeviceGetHandleByIndex if first.isdigit() else pynvml.nvmlDeviceGetHandleByUUID
        handle = by(int(first) if first.isdigit() else first)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:  # an old driver, a GPU from before Volta, a part of one (MIG)
        return None, f"NVML: {error}"
    last = 0.0

    def joules() -> float:
        nonlocal last
        with suppress(pynvml.NVMLError):  # for this once: the next reading has it all
            last = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        return last

    return joules, ""


def _setting(name: str, unit: str) -> tuple[float, str] | None:
    """An environment variable's value and its name; None where it is not set."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"{name}: found {text!r}; allowed: a number of at least 0, in {unit}")
    return value, name


def _cpu_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def _busy_seconds() -> float:
    """In which the machine's processors worked, for anybody, since it was started."""
    times = psutil.cpu_times()  # a guest's are in the user's
    return float(sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq")))


def _number(file: Path) -> int:
    return int(file.read_text())
