"""A data set as arrays in a file .npz or .npy: images, perhaps with labels, a test set and the names of the classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from genbalance.data.array_files import Arrays, listed, read_all
from genbalance.data.image_files import at_home
from genbalance.runtime.errors import UserError, in_a_line

IMAGES = {
    "train": ("images", "samples", "x_train", "train_images", "x", "arr_0"),
    "val": ("x_val", "val_images"),
    "test": ("x_test", "test_images"),
}
LABELS = {
    "train": ("labels", "y_train", "train_labels", "y", "arr_1"),
    "val": ("y_val", "val_labels"),
    "test": ("y_test", "test_labels"),
}
"""What an array may be called: among them the names of Keras, MedMNIST and `np.savez`."""
CLASS_NAMES = "class_names"
FORMS = "a file .npz or .npy"


@dataclass(frozen=True)
class Part:
    """Images in any form that :func:`genbalance.data.images.as_images` takes, and their labels, where there are any;
    file and name of both, for messages."""

    images: NDArray[Any]
    labels: NDArray[Any] | None
    images_name: Path
    labels_name: Path


@dataclass(frozen=True)
class ClassArrays:
    """The parts train, and val and test where the file has them, all with labels or all without; the names of the
    classes, or none; and what to know of how they were read, a sentence each."""

    parts: dict[str, Part]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def read(given: str) -> ClassArrays:
    """The arrays of the file ``given``; ``~`` is the home directory.

    Raises:
        UserError: no such file, or a broken one; two arrays with names that mean the same; no training images; labels
            without images; labels of some images alone; names of classes without labels, or that are no texts.
    """
    path = at_home(Path(given))
    wanted = [name for roles in (IMAGES, LABELS) for names in roles.values() for name in names]
    arrays, left_out = read_all(path, [*wanted, CLASS_NAMES], FORMS)
    parts = dict[str, Part]()
    for part in IMAGES:
        images, labels = _one(path, IMAGES[part], arrays), _one(path, LABELS[part], arrays)
        if images:
            parts[part] = Part(
                arrays[images],
                _flat(arrays[labels]) if labels else None,
                Path(f"{path}: {images}"),
                Path(f"{path}: {labels}"),
            )
        elif labels or part == "train":
            *others, last = IMAGES[part]
            found = listed([*arrays, *left_out]) or "nothing"
            raise UserError(f"{path}: holds {found}; allowed: {part} images called {', '.join(others)} or {last}")
    labelled = [part for part, each in parts.items() if each.labels is not None]
    if labelled and len(labelled) < len(parts):
        raise UserError(
            f"{path}: found images of {', '.join(parts)}, but labels of {', '.join(labelled)} alone; allowed: of all, "
            "or of none"
        )
    notes = [f"{path}: the arrays {listed(left_out)} are left out"] * bool(left_out)
    return ClassArrays(parts, _class_names(path, arrays, bool(labelled)), tuple(notes))


def _one(path: Path, names: tuple[str, ...], arrays: Arrays) -> str:
    """The name that the file has, or ""."""
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise UserError(f"{path}: holds {' and '.join(found)}, which mean the same; allowed: one of them")
    return "".join(found)


def _flat(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels [n] out of [n] or [n, 1]."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _class_names(path: Path, arrays: Arrays, labelled: bool) -> tuple[str, ...]:
    if CLASS_NAMES not in arrays:
        return ()
    found = arrays[CLASS_NAMES]
    if not labelled:
        raise UserError(f"{path}: holds {CLASS_NAMES}, but no labels; allowed: both or neither")
    if found.ndim != 1 or found.dtype.kind != "U":
        raise UserError(
            f"{path}: found {CLASS_NAMES} {list(found.shape)} of type {found.dtype}; allowed: texts [classes]"
        )
    names = tuple(map(str, found))
    for name in names:
        if not name or name != in_a_line(name) or names.count(name) > 1:
            raise UserError(
                f"{path}: found the class name {in_a_line(name)!r}; allowed: short texts in a line, each once"
            )
    return names
