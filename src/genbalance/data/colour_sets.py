"""CIFAR-10, CIFAR-100 (Krizhevsky 2009) and SVHN (Netzer et al. 2011) out of the files that torchvision knows, which
lie where torchvision puts and seeks them.

CIFAR's files are pickles. Each is unpickled only after its md5 is that of torchvision's list, and even then by a reader
that makes nothing but numbers, texts, lists, dictionaries and arrays.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import Unpickler, UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import reading
from genbalance.data.downloads import check_md5, fetch_file, md5
from genbalance.data.prepared import Split
from genbalance.runtime.errors import UserError, in_a_line

SIDE = 32  # pixels
CIFAR = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
"""torchvision's class of a `data.source`."""
LABELS = ("labels", "fine_labels")  # CIFAR-100 has coarse ones beside

RECONSTRUCT = np.empty(0).__reduce__()[0]
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""The functions that a pickle of CIFAR may name: those that make an array."""

BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError, zlib.error)


@dataclass(frozen=True)
class ColourSet:
    """Training and test images uint8 [n, 32, 32, 3], the classes' names, and the md5 of each file by its name."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    files: dict[str, str]


def read_colour_set(source: str, raw: Path) -> ColourSet:
    """The images of ``source``.

    Args:
        source: cifar10, cifar100 or svhn.
        raw: the folder of downloads; what is missing there is downloaded.

    Raises:
        UserError: the mirror cannot be reached, or a file is not what it should be; the text says what to do.
    """
    return _svhn(raw) if source == "svhn" else _cifar(CIFAR[source], raw)


def _cifar(name: str, raw: Path) -> ColourSet:
    """The files lie in the folder of the unpacked archive; where one is missing, all are read from the archive."""
    from torchvision import datasets  # which loads torch

    dataset = getattr(datasets, name)
    folder = raw / dataset.base_folder
    lists = {"train": dataset.train_list, "test": dataset.test_list}
    meta = (dataset.meta["filename"], dataset.meta["md5"])
    expected = dict([*lists["train"], *lists["test"], meta])
    if all((folder / file).is_file() for file in expected):
        contents: dict[str, bytes | bytearray] = {file: reading.read(folder / file) for file in expected}
    else:
        archive = fetch_file(dataset.url, dataset.tgz_md5, raw)
        contents = _members(archive, {f"{dataset.base_folder}/{file}": file for file in expected})
    entries = {}
    for file, content in contents.items():
        check_md5(folder / file, md5(content), expected[file])
        entries[file] = _unpickle(content, folder / file)

    with _parsing(folder / meta[0]):
        names = tuple(map(str, entries[meta[0]][dataset.meta["key"]]))
    splits = {}
    for part, listed in lists.items():
        batches = [_batch(entries[file], folder / file, len(names)) for file, _ in listed]
        images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        splits[part] = Split(images, labels)
    return ColourSet(splits["train"], splits["test"], names, expected)


def _members(archive: Path, wanted: dict[str, str]) -> dict[str, bytes | bytearray]:
    """The contents of the archive's ``wanted`` members, by what they are called there; read in one pass.

    Raises:
        UserError: it is no such archive, or lacks one.
    """
    contents: dict[str, bytes | bytearray] = {}
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                if member.name in wanted and (stream := members.extractfile(member)):
                    reading.check_size(member.size, archive)
                    contents[wanted[member.name]] = stream.read()
    except (tarfile.TarError, *BROKEN) as error:
        raise UserError(f"{archive}: cannot be unpacked ({in_a_line(str(error))}); remove it") from None
    missing = [file for file in wanted.values() if file not in contents]
    if missing:
        raise UserError(f"{archive}: {', '.join(missing)} not there; remove it so that it is downloaded again")
    return contents


class _ArraysAlone(Unpickler):
    """Makes numbers, texts, lists, dictionaries and NumPy's arrays: any other name in the pickle is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle calls ``name``."""
        if (module, name) not in ALLOWED:
            raise UnpicklingError(f"it names {module}.{name}; allowed: NumPy's arrays")
        return ALLOWED[module, name]


def _unpickle(content: bytes | bytearray, path: Path) -> Any:
    """The object of a pickle, whose texts Python 2 wrote."""
    try:
        return _ArraysAlone(io.BytesIO(content), encoding="latin1").load()
    except (UnpicklingError, *BROKEN) as error:
        raise UserError(f"{path}: cannot be unpickled ({in_a_line(str(error))}); remove it") from None


def _batch(entry: Any, path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels: a row of ``data`` is an image's red, then green, then blue pixels, row by row."""
    with _parsing(path):
        labels = np.array(entry[LABELS[0] if LABELS[0] in entry else LABELS[1]], np.int64)
        return _labelled(entry["data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels, classes)


def _svhn(raw: Path) -> ColourSet:
    """MATLAB's files: images last in the array, and the digit 0 labelled 10. The extra images are left out."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError
    from torchvision import datasets  # which loads torch

    splits, files = {}, {}
    for part in ("train", "test"):
        address, file, expected = datasets.SVHN.split_list[part]
        path = fetch_file(address, expected, raw)
        with _parsing(path, MatReadError):
            arrays = loadmat(path, variable_names=["X", "y"])
            labels = arrays["y"].ravel().astype(np.int64) % 10
            splits[part] = Split(*_labelled(arrays["X"].transpose(3, 0, 1, 2), labels, 10))
        files[file] = expected
    return ColourSet(splits["train"], splits["test"], tuple(map(str, range(10))), files)


def _labelled(
    images: NDArray[Any], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The two, checked.

    Raises:
        ValueError: they are not of the set's form.
    """
    if images.dtype != np.uint8 or images.shape != (len(labels), SIDE, SIDE, 3):
        raise ValueError(f"{len(labels)} labels and {images.dtype} images of the shape {list(images.shape)}")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels of {labels.min()} … {labels.max()} with {classes} classes")
    return np.ascontiguousarray(images), labels


@contextmanager
def _parsing(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Refuses, in a line that names the file, what the block does not find in it; ``errors`` are those of its library.

    Raises:
        UserError: the block raises one of them, or of BROKEN.
    """
    try:
        yield
    except errors + BROKEN as error:
        found = in_a_line(str(error)) or type(error).__name__
        raise UserError(f"{path}: is not as torchvision reads it ({found}); remove it") from None
