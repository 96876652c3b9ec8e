"""A data set as folders of image files: a folder for each class, or images alone, which have no labels; perhaps with
the test images in a folder of their own. torchvision's ImageFolder reads the same classes and files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbalance.data.array_files import listed
from genbalance.data.image_files import SUPPORTED, Listing, at_home, list_folder, natural, notes_on, read_files
from genbalance.data.images import Channels, Size
from genbalance.data.prepared import Split
from genbalance.runtime.errors import UserError

TRAIN, TEST = "train", "test"
VAL = ("val", "valid", "validation")
"""The folders of a data set that is split, in any case of letters."""


@dataclass(frozen=True)
class ClassFolders:
    """Images of one shape with labels 0 … in the order of ``class_names``, which are those of the folders in natural
    order; without class folders there are no names and all labels are 0. ``md5`` is of all names and contents, and
    ``notes`` say how they were read."""

    train: Split
    test: Split | None
    class_names: tuple[str, ...]
    md5: str
    notes: tuple[str, ...]


Files = dict[str, list[Path]]
"""The image files of a folder by class, or all of them under NO_CLASS where it has no class folders."""
NO_CLASS = ""


def read(given: str, size: Size, channels: Channels) -> ClassFolders:
    """The images of the folder ``given``; ``~`` is the home directory.

    A folder train with a folder test, val, valid or validation beside it, or alone, is taken for a part of the data and
    not for a class; val is joined to train, since `data.val_fraction` of it is held out anyhow.

    Args:
        given: `data.path`.
        size: `data.size`, of each image.
        channels: `data.channels`, of all images.

    Raises:
        UserError: no such folder; images beside folders; a folder without images or with something else in it; a class
            of the test images that has no training image; what `image_files.read_files` raises.
    """
    root = at_home(Path(given))
    if not root.is_dir():
        raise UserError(f"data.path: found {given!r}, which is not a folder; name one of images, or of class folders")
    listing = list_folder(root)
    left_out = listing.left_out
    parts = _parts(root, listing)
    train, *val = (_files(part, left_out) for part in parts[TRAIN])
    for more in val:
        for name, files in more.items():
            train.setdefault(name, []).extend(files)
    test = _files(parts[TEST][0], left_out) if parts[TEST] else {}
    _check_classes(root, train, test)

    names = sorted(train, key=lambda name: natural(Path(name)))
    files = [file for part in (train, test) for name in names for file in part.get(name, ())]
    pictures = read_files(root, files, size, channels, to_train=True)
    labels = [np.repeat(np.arange(len(names)), [len(part.get(name, ())) for name in names]) for part in (train, test)]
    first = len(labels[0])
    joined = [
        f"{folder}: is joined to {parts[TRAIN][0]}; data.val_fraction is held out of both"
        for folder in parts[TRAIN][1:]
    ]
    return ClassFolders(
        Split(pictures.images[:first], labels[0]),
        Split(pictures.images[first:], labels[1]) if test else None,
        () if names == [NO_CLASS] else tuple(names),
        pictures.md5,
        (*joined, *notes_on(pictures, [entry.relative_to(root).as_posix() for entry in left_out])),
    )


def _parts(root: Path, listing: Listing) -> dict[str, list[Path]]:
    """The folders that hold the training images, first the one that is called so, and those that hold the test
    images."""
    named = {folder.name.lower(): folder for folder in listing.folders}
    parts = {name: folder for name, folder in named.items() if name in (TRAIN, TEST, *VAL)}
    others = [folder.name for folder in listing.folders if folder not in parts.values()]
    if others and {TRAIN, TEST} <= named.keys():
        raise UserError(
            f"{root}: found {TRAIN} and {TEST} beside {listed(others)}; allowed: {TRAIN} and {TEST} with the classes "
            "in them, or folders of classes alone"
        )
    if others or not parts:
        return {TRAIN: [root], TEST: []}
    if TRAIN not in parts:
        raise UserError(f"{root}: found {listed(list(parts))} without {TRAIN}; add {TRAIN}, or rename what is a class")
    if listing.images:
        raise UserError(f"{root}: found images ({listing.images[0].name}, …) beside {listed(list(parts))}; remove them")
    return {
        TRAIN: [parts[name] for name in (TRAIN, *VAL) if name in parts],
        TEST: [parts[TEST]] if TEST in parts else [],
    }


def _files(folder: Path, left_out: list[Path]) -> Files:
    """The image files of a folder by class; what is no image is added to ``left_out``.

    Raises:
        UserError: images beside class folders, a folder in a class folder, one without an image.
    """
    listing = list_folder(folder)
    left_out += [entry for entry in listing.left_out if entry not in left_out]
    if listing.images and listing.folders:
        folders = listed([path.name for path in listing.folders])
        raise UserError(
            f"{folder}: found images ({listing.images[0].name}, …) beside folders ({folders}); "
            "allowed: a folder for each class, or images alone, which then have no labels"
        )
    if not listing.folders:
        if not listing.images:
            raise UserError(f"{folder}: found no image; allowed: {SUPPORTED}, in a folder for each class or alone")
        return {NO_CLASS: listing.images}
    classes = Files()
    for path in listing.folders:
        inner = list_folder(path)
        if inner.folders or not inner.images:
            found = f"the folder {inner.folders[0].name}" if inner.folders else "no image"
            raise UserError(f"{path}: found {found} in the folder of a class; allowed: {SUPPORTED}")
        left_out += inner.left_out
        classes[path.name] = inner.images
    return classes


def _check_classes(root: Path, train: Files, test: Files) -> None:
    """Refuses parts that do not fit together.

    Raises:
        UserError: some images have a class and others none; test images of a class that has no training image.
    """
    if NO_CLASS in train.keys() | test.keys() and len(train.keys() | test.keys()) > 1:
        raise UserError(f"{root}: found images with and without a folder for their class; allowed: all alike")
    for name in test:
        if name not in train:
            raise UserError(f"{test[name][0].parent}: found test images of a class that has no training image")
