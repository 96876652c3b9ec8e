"""Any digits as torchvision.datasets.MNIST, which reads its four files without a download where they are there."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import MNIST

from genbalance.data.prepared import Prepared, Split

RAW = Path("MNIST/raw")  # below torchvision's root


def mnist(folder: Path, dataset: Prepared, transform: Callable[[Any], Any]) -> MNIST:
    """The training split as torchvision's dataset, by way of files in ``folder``."""
    for name, split in (("train", dataset.train), ("t10k", dataset.test)):
        _write(folder / RAW, name, split)
    return MNIST(folder, train=True, transform=transform, download=False)


def _write(folder: Path, name: str, split: Split) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, values in (("images", split.images), ("labels", split.labels.astype(np.uint8))):
        (folder / f"{name}-{kind}-idx{values.ndim}-ubyte").write_bytes(_idx(values))


def _idx(values: NDArray[np.uint8]) -> bytes:
    """Magic number (uint8, how many dimensions), sizes, values."""
    return struct.pack(f">{1 + values.ndim}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()
