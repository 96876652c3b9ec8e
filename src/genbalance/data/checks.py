"""What images and labels must be, wherever they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.levels import BLACK, as_images, doubts
from genbalance.data.prepared import Split
from genbalance.errors import UserError

LEAST_SIDE = 8


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


def paired(images: NDArray[Any], labels: NDArray[Any], images_path: Path, labels_path: Path) -> Split:
    """A split out of images, in a form that `as_images` takes, and labels [n]; the paths are for the messages.

    Raises:
        UserError: what `as_images` raises; images smaller than 8 × 8; other counts of images and labels; labels that
            are no whole numbers or negative.
    """
    pixels = as_images(images, images_path)
    count, side, _ = pixels.shape
    if side < LEAST_SIDE:
        raise UserError(
            f"{images_path}: found images of {side} × {side} pixels; allowed: at least {LEAST_SIDE} × {LEAST_SIDE}"
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


def source(
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
    told = list(notes)
    if min(split.labels.min() for split in (train, test) if split) == 1:
        told.append(f"{train_path}: found labels from 1; they are taken from 0, so that 1 is class 0")
        train, test = Split(train.images, train.labels - 1), test and Split(test.images, test.labels - 1)
    classes = _class_count(train, test, train_path, test_path)
    return Source(train, test, classes, title, files, (*told, *_doubts(train, test, classes, test_path)))


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
    """What is doubtful of images that fit together; the test images are held against the training images."""
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
