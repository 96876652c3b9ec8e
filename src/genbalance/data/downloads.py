"""The files of known data sets as torchvision knows them: mirrors, checksums and the download are torchvision's.

What is in the folder is checked before it is used, whoever put it there: a gzipped file by its md5, an unpacked one by
its md5 where that is known (MNIST) and by its format elsewhere. Of MNIST, a file that was packed anew is good if its
content is.
"""

import contextlib
import hashlib
import http.client
import io
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from genbalance.data import idx
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import PREFIX

CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST"}
"""torchvision's class of a `data.source`."""

CONTENT_MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
}

TIMEOUT = 30
"""Seconds without a byte after which a mirror counts as unreachable."""


def fetch(source: str, raw: Path) -> tuple[dict[str, Path], dict[str, idx.Content]]:
    """The four files of MNIST or its kin by role and their contents; those that are not there are downloaded.

    Args:
        source: a key of CLASSES.
        raw: the folder of downloads; the files lie in <raw>/<class>/raw, where torchvision puts and seeks them.

    Raises:
        UserError: no mirror can be reached, or a file is not what it should be; the text says what to do.
    """
    from torchvision import datasets  # which loads torch

    name = CLASSES[source]
    dataset = getattr(datasets, name)
    folder = raw / name / "raw"
    paths: dict[str, Path] = {}
    contents: dict[str, idx.Content] = {}
    for role, (location, archive_md5) in zip(idx.ROLES, _resources(dataset), strict=True):
        file = location.rsplit("/", 1)[-1]
        path = idx.find(folder, file.removesuffix(".gz"))
        if path is None:
            mirrors = [""] if "://" in location else dataset.mirrors
            _download([f"{mirror}{location}" for mirror in mirrors], archive_md5, folder)
            path = folder / file
        paths[role] = path
        contents[role] = _checked(path, archive_md5, CONTENT_MD5.get(name, {}).get(file.removesuffix(".gz")))
    return paths, contents


def fetch_file(address: str, expected: str, folder: Path) -> Path:
    """The file of that address in ``folder``, of the md5 ``expected``; it is downloaded where it is not there.

    Raises:
        UserError: it cannot be downloaded, or what is there has another md5.
    """
    path = folder / address.rsplit("/", 1)[-1]
    if not path.is_file():
        _download([address], expected, folder)
    try:
        check_md5(path, _md5_of(path), expected)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return path


def check_md5(path: Path, found: str, expected: str) -> None:
    """Refuses a file that is not the one torchvision knows.

    Raises:
        UserError: the two differ.
    """
    if found != expected:
        raise UserError(f"{path}: found md5 {found}, expected {expected}; remove it so that it is downloaded again")


def _md5_of(path: Path) -> str:
    """Of a file as it lies there, packed or not."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5(content: bytes | bytearray) -> str:
    """A checksum against accidents, not against forgery."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _resources(dataset: type) -> list[tuple[str, str]]:
    """(file or address, md5) in the order of ROLES: QMNIST has a list for each split, the others one for both."""
    resources = dataset.resources  # type: ignore[attr-defined]
    return [*resources["train"], *resources["test"]] if isinstance(resources, dict) else list(resources)


def _checked(path: Path, archive_md5: str, content_md5: str | None) -> idx.Content:
    """The content of a file that passed its checksum."""
    try:
        content = idx.content(path)
        if path.suffix == ".gz":
            found = _md5_of(path)
            good = found == archive_md5 or md5(content.unpacked) == content_md5
        else:
            found = md5(content.unpacked)
            good = content_md5 is None or found == content_md5
    except UserError as error:
        raise UserError(f"{error}, or remove it so that it is downloaded") from None
    if not good:
        check_md5(path, found, (content_md5 if path.suffix != ".gz" else archive_md5) or "")
    return content


def _download(addresses: Sequence[str], archive_md5: str, folder: Path) -> None:
    """One file from the first address that gives it, put into ``folder`` only after torchvision checked its md5."""
    from torchvision.datasets.utils import download_url

    file = addresses[0].rsplit("/", 1)[-1]
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as part, _timeout(), _quiet():
            for address in addresses:
                try:
                    download_url(address, part, file, archive_md5)
                except (OSError, RuntimeError, http.client.HTTPException) as error:
                    failures.append(f"{address}: {' '.join(str(error).split()) or type(error).__name__}")
                else:
                    (Path(part) / file).replace(folder / file)
                    return
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    raise UserError(
        f"{file}: cannot be downloaded ({'; '.join(failures)}); try again, put the file into {folder} by other means, "
        "or use data.source=bundled, which needs no network"
    )


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Ends a connection on which a mirror sends nothing for TIMEOUT seconds: the stage would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _quiet() -> contextlib.AbstractContextManager[object]:
    """Hides torchvision's progress bar, which it draws on stderr, where that is no terminal."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
