"""Memory in MiB."""

import resource
import sys


def peak_mib(usage: resource.struct_rusage) -> float:
    """The most that was resident; the system counts in KiB, macOS in bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
