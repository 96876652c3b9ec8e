"""What of a machine decides the bytes of floating-point results."""

import platform
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from genbalance.runtime.instructions import pinned

CPUINFO = Path("/proc/cpuinfo")
VENDOR = ("vendor_id", "CPU implementer")  # as Linux calls it on x86 and on ARM
HALF_PRECISION = ("avx512_bf16", "amx_bf16")


def machine(device: torch.device) -> str:
    """The kind of machine that computes, in a line: equal lines are to give equal bytes. No name of a host is in it.

    GPU, if there is one; the CPU's vendor, by which MKL chooses; the instructions that torch uses; the cache by whose
    size oneDNN cuts its blocks; the kernels that OpenBLAS chose; threads; processes, where several train; Python, by
    whose version requirements.txt chooses that of NumPy. Equal bytes do not need equal lines: where the instructions
    are pinned (see :mod:`genbalance.runtime.instructions`), vendor and cache decide for few shapes.
    Ask after :func:`genbalance.runtime.device.set_up`.
    """
    gpu = [f"cuda {torch.cuda.get_device_name(device)}"] if device.type == "cuda" else []
    found = torch.cpu.get_capabilities()
    half = () if pinned() else HALF_PRECISION
    level = [torch.backends.cpu.get_cpu_capability(), *(name for name in half if found.get(name))]
    cache = [f"L2 {found['l2_cache_size'] // 1024} KiB"] if found.get("l2_cache_size") else []
    blas = sorted({info["architecture"] for info in threadpool_info() if info.get("architecture")})
    parts = [
        *gpu,
        f"cpu {_vendor()} {' '.join(level)}",
        *cache,
        *(f"OpenBLAS {kernels}" for kernels in blas),
        f"threads {torch.get_num_threads()}",
        *([f"processes {torch.distributed.get_world_size()}"] if torch.distributed.is_initialized() else []),
        f"Python {'.'.join(platform.python_version_tuple()[:2])}",
    ]
    return ", ".join(parts)


def _vendor() -> str:
    """The CPU's, such as AuthenticAMD; where the system does not say, its architecture."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    vendors = (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() in VENDOR)
    return next(vendors, "") or platform.processor() or platform.machine()
