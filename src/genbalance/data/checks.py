"""What images and labels must be, wherever they come from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.prepared import Split
from genbalance.errors import UserError

LEAST_SIDE = 8


def paired(images: NDArray[Any], labels: NDArray[Any], images_name: str, labels_name: str) -> Split:
    """A split out of images [n, side, side] and labels [n]; the names are for the messages.

    Raises:
        UserError: images that are not uint8, square and at least 8 × 8; other counts of images and labels; negative
            labels.
    """
    count, height, width = images.shape
    if images.dtype != np.uint8:
        raise UserError(f"{images_name}: found pixels of type {images.dtype}; allowed: uint8, 0 … 255")
    if height != width or height < LEAST_SIDE:
        raise UserError(
            f"{images_name}: found images of {height} × {width} pixels; allowed: square ones of at least "
            f"{LEAST_SIDE} × {LEAST_SIDE}"
        )
    if count != len(labels):
        raise UserError(
            f"{labels_name}: found {len(labels)} labels for the {count} images of {images_name}; "
            "there must be one for each: check that the two files belong together"
        )
    if count and labels.min() < 0:
        raise UserError(f"{labels_name}: found the label {labels.min()}; allowed: 0, 1, 2, …")
    return Split(images, labels.astype(np.int64))


def class_count(train: Split, test: Split | None, train_name: str, test_name: str) -> int:
    """The number of classes: the largest training label plus one. The names are those of the labels, for the messages.

    Raises:
        UserError: fewer than two classes, a class without a training image, test labels beyond the training classes,
            test images of another size.
    """
    if not len(train):
        raise UserError(f"{train_name}: found no labels; give at least a few images of each class")
    present = np.unique(train.labels)
    classes = int(present[-1]) + 1
    if classes < 2:
        raise UserError(f"{train_name}: found one class, labels all 0; at least two classes are needed")
    if len(present) < classes:
        missing = next(label for label, found in enumerate(present) if label != found)
        raise UserError(
            f"{train_name}: found no image of class {missing} though the labels go up to {classes - 1}; "
            "number the classes 0, 1, 2, … without a gap"
        )
    if test is not None:
        if len(test) and test.labels.max() >= classes:
            raise UserError(
                f"{test_name}: found the label {test.labels.max()}; allowed: 0 … {classes - 1}, the training classes"
            )
        if test.images.shape[1:] != train.images.shape[1:]:
            sizes = [" × ".join(map(str, split.images.shape[1:])) for split in (test, train)]
            raise UserError(
                f"{test_name}: its images are {sizes[0]} pixels, the training images {sizes[1]}; make them equal"
            )
    return classes
