"""The line that says what kind of machine computes."""

import platform
import socket

import pytest
import torch

from genbalance.runtime import machine as module
from genbalance.runtime.machine import machine

CPU = torch.device("cpu")


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("text", "vendor"),
    [
        ("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: any\n", "GenuineIntel"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", "0x41"),
    ],
)
def test_the_vendor_is_what_linux_tells(cpuinfo, text, vendor):
    cpuinfo.write_text(text)
    assert machine(CPU).startswith(f"cpu {vendor} {torch.backends.cpu.get_cpu_capability()}")


@pytest.mark.parametrize("content", [None, "", "flags\t: fpu\n"])
def test_without_a_vendor_the_architecture_stands_for_it(cpuinfo, content):
    if content is not None:
        cpuinfo.write_text(content)
    assert machine(CPU).startswith(f"cpu {platform.processor() or platform.machine()} ")


def test_another_instruction_set_another_number_of_threads_and_another_gpu_are_another_kind(monkeypatch):
    kinds = [machine(CPU)]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        kinds.append(machine(CPU))
    finally:
        torch.set_num_threads(threads)
    for name in ("NVIDIA One", "NVIDIA Two"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        kinds.append(machine(torch.device("cuda")))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX999")
    kinds.append(machine(CPU))
    monkeypatch.setattr(module, "threadpool_info", lambda: [{"architecture": "Zen9"}, {"architecture": None}])
    kinds.append(machine(CPU))
    assert len(set(kinds)) == len(kinds)
    assert kinds[2].startswith("cuda NVIDIA One, cpu ")
    assert "OpenBLAS Zen9" in kinds[-1]


def test_it_is_the_same_line_each_time_and_names_no_host():
    assert machine(CPU) == machine(CPU)
    assert "\n" not in machine(CPU)
    assert socket.gethostname() not in machine(CPU)
