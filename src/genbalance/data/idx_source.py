"""Training and test images out of four IDX files, with the names of MNIST or of EMNIST."""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from genbalance.data import checks, idx
from genbalance.data.checks import Source
from genbalance.errors import UserError

EMNIST = "emnist-"
"""How the files of EMNIST begin, whose images lie on their side: they are stored column by column."""

ROLES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}


def find(folder: Path, name: str) -> Path | None:
    """The file ``name``, perhaps with .gz, perhaps spelt with a dot (train-images.idx3-ubyte); gzipped ones first."""
    names = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{spelt}{ending}" for ending in (".gz", "") for spelt in names]
    return next((path for path in candidates if path.is_file()), None)


def find_all(given: str) -> dict[str, Path]:
    """The four files of the folder ``given`` by role; ``~`` is the home directory.

    Beside the names of MNIST those of EMNIST are known, such as emnist-digits-train-images-idx3-ubyte.

    Raises:
        UserError: no such folder, the files of several data sets, or some are missing: the text lists them.
    """
    folder = Path(given)
    with contextlib.suppress(RuntimeError):  # of nobody's home
        folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"data.path: found {given!r}, which is not a folder; put the four IDX files into one")
    sets = [""] * any(find(folder, name) for name in ROLES.values())
    sets += sorted({path.name.split("-")[1] for path in folder.glob(f"{EMNIST}*-ubyte*") if path.name.count("-") > 1})
    if len(sets) > 1:
        told = ", ".join(f"{EMNIST}{name}-…" if name else "train-…" for name in sets)
        raise UserError(f"{folder}: found the files of several data sets, {told}; leave those of one")
    names = {role: _of_emnist(name, sets[0]) for role, name in ROLES.items()} if any(sets) else ROLES
    found = {role: find(folder, name) for role, name in names.items()}
    missing = [names[role] for role, path in found.items() if path is None]
    if missing:
        raise UserError(f"{folder}: {', '.join(missing)} not there; add what is missing (gzipped, .gz, is fine too)")
    return {role: path for role, path in found.items() if path is not None}


def _of_emnist(name: str, chosen: str) -> str:
    return f"{EMNIST}{chosen}-{name.replace('t10k', 'test')}"


def read(title: str, paths: Mapping[str, Path], contents: Mapping[str, idx.Content], label_dims: int = 1) -> Source:
    """The digits of the four files. Those of EMNIST are turned upright: rows become columns.

    Args:
        title: of the digits.
        paths: the files by role.
        contents: what `idx.content` made of each.
        label_dims: 1, or 2 for labels whose first column is the class (QMNIST).

    Raises:
        UserError: what `idx.parse` and `checks` raise.
    """
    splits = []
    notes = [note for content in contents.values() for note in content.notes]
    for part in ("train", "test"):
        images, labels = f"{part} images", f"{part} labels"
        pixels = idx.parse(contents[images].unpacked, paths[images], 3)
        values = idx.parse(contents[labels].unpacked, paths[labels], label_dims)
        if paths[images].name.startswith(EMNIST):
            pixels = pixels.transpose(0, 2, 1)
            notes.append(f"{paths[images]}: EMNIST stores images column by column; rows and columns are exchanged")
        splits.append(checks.paired(pixels, values[:, 0] if values.ndim == 2 else values, paths[images], paths[labels]))
    train, test = splits
    return checks.source(title, _md5s(paths, contents), train, test, paths["train labels"], paths["test labels"], notes)


def _md5s(paths: Mapping[str, Path], contents: Mapping[str, idx.Content]) -> dict[str, str]:
    """The md5 of each file's unpacked bytes by the file's name without .gz: packing again changes neither."""
    return {path.name.removesuffix(".gz"): md5(contents[role].unpacked) for role, path in paths.items()}


def md5(found: bytes | bytearray) -> str:
    """A checksum against accidents, not against forgery."""
    return hashlib.md5(found, usedforsecurity=False).hexdigest()
