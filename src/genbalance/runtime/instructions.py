"""One instruction set for all arithmetic on a CPU, so that one pipeline has one set of bytes on many processors.

torch, oneDNN, MKL, OpenBLAS and NumPy choose their loops by the processor, and each loop adds up in its own order. All
of them have loops for AVX2 and FMA, which every x86-64 processor for servers and desktops has had since about 2015.
"""

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NEEDED = {"avx2", "fma"}
PINNED = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own loops
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "AVX2,STRICT",  # torch's matrix products; strict: the routines that MKL also takes on AMD's processors
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products of NumPy, SciPy and scikit-learn
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's loops
}
ELSEWHERE = ("DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "NPY_ENABLE_CPU_FEATURES")  # would say otherwise


def pin() -> None:
    """Takes AVX2, whatever the environment says. Call it before torch and NumPy load, which ask then and never again.

    On a processor without AVX2, an Arm for one, and where the system does not say, all stays as it is.
    """
    if _flags() >= NEEDED:
        os.environ.update(PINNED)
        for name in ELSEWHERE:
            os.environ.pop(name, None)


def pinned() -> bool:
    """Whether :func:`pin` has pinned them in this process."""
    return _flags() >= NEEDED and PINNED.items() <= os.environ.items()


def _flags() -> set[str]:
    """The first processor's, as Linux lists them; none on other systems."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())
