"""Training and test images out of four IDX files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from genbalance.data import checks, idx
from genbalance.data.prepared import Split
from genbalance.errors import UserError

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


def find_all(folder: Path) -> dict[str, Path]:
    """The four files of ``folder`` by role.

    Raises:
        UserError: no such folder, or some of the files are missing: the text lists them.
    """
    if not folder.is_dir():
        raise UserError(f"data.path: found {str(folder)!r}, which is not a folder; put the four IDX files into one")
    found = {role: find(folder, name) for role, name in ROLES.items()}
    missing = [ROLES[role] for role, path in found.items() if path is None]
    if missing:
        raise UserError(f"{folder}: {', '.join(missing)} not there; add what is missing (gzipped, .gz, is fine too)")
    return {role: path for role, path in found.items() if path is not None}


def read(paths: Mapping[str, Path], contents: Mapping[str, bytes], label_dims: int = 1) -> tuple[Split, Split, int]:
    """Training split, test split and number of classes.

    Args:
        paths: the files by role, for the messages.
        contents: their unpacked bytes by role.
        label_dims: 1, or 2 for labels whose first column is the class (QMNIST).

    Raises:
        UserError: what `idx.parse` and `checks` raise.
    """
    splits = []
    for part in ("train", "test"):
        images, labels = f"{part} images", f"{part} labels"
        values = idx.parse(contents[labels], paths[labels], label_dims)
        splits.append(
            checks.paired(
                idx.parse(contents[images], paths[images], 3),
                values[:, 0] if values.ndim == 2 else values,
                str(paths[images]),
                str(paths[labels]),
            )
        )
    train, test = splits
    return train, test, checks.class_count(train, test, str(paths["train labels"]), str(paths["test labels"]))


def md5s(paths: Mapping[str, Path], contents: Mapping[str, bytes]) -> dict[str, str]:
    """The md5 of each file's unpacked bytes by the file's name without .gz: packing again changes neither."""
    return {path.name.removesuffix(".gz"): md5(contents[role]) for role, path in paths.items()}


def md5(found: bytes) -> str:
    """A checksum against accidents, not against forgery."""
    return hashlib.md5(found, usedforsecurity=False).hexdigest()
