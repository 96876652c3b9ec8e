"""Where the benchmarks tell what they measured: a table for people, one JSON file for all of them."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genbalance.runtime.io import read_json, write_json

RESULTS = Path(".bench/results.json")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def record(name: str, measured: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Puts ``measured`` under ``name`` and leaves what the other benchmarks wrote."""
    machine = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    others = read_json(path) if path.exists() else {}
    write_json(path, others | {name: {"machine": machine, **measured}})
