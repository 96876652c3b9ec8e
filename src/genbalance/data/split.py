"""Train, validation and test: disjoint, drawn from the seed, stratified where there are classes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genbalance import params
from genbalance.data import arrays
from genbalance.data.array_files import listed
from genbalance.data.prepared import Split
from genbalance.data.stacked import DIGITS, stack_splits
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

if TYPE_CHECKING:
    from genbalance.data.sources import Source

Rows = NDArray[np.int64]


def split_source(source: "Source", data: params.DataConfig, seed: int) -> tuple[Split, Split, Split]:
    """Training, validation and test split of a source; of one whose digits are to be stacked each split is stacked out
    of its own digits, and `data.limit` counts the stacked images. `data.class_shares` then acts on the training split.

    Raises:
        UserError: some class would have no training image, or some split no image, or `data.class_shares` names a
            class that is none.
    """
    if source.stacked:
        every = data.model_copy(update={"limit": "all"})
        train, val, test = stack_splits(*split(source.train, source.test, DIGITS, every, seed), data, seed)
    else:
        train, val, test = split(source.train, source.test, source.classes, data, seed, source.class_names)
    names = tuple(source.class_names) or tuple(map(str, range(source.classes)))
    return with_shares(train, data.shares, names), val, test


def with_shares(train: Split, shares: Mapping[str, float], class_names: Sequence[str]) -> Split:
    """The training split with the given share of the images of some classes, the first ones of each and at least one;
    they were drawn in random order, so that a smaller share is a part of a larger one.

    Raises:
        UserError: a class is none of ``class_names``.
    """
    kept = np.ones(len(train), bool)
    for name, share in shares.items():
        if name not in class_names:
            allowed = f"of {listed(class_names)}" if len(class_names) > 1 else "none, as the images have no two classes"
            raise UserError(f"data.class_shares: found class {name}; allowed: {allowed}")
        rows = np.flatnonzero(train.labels == class_names.index(name))
        kept[rows[max(1, round(share * len(rows))) :]] = False
    return train if kept.all() else _take(train, np.flatnonzero(kept))


def split(
    train: Split, test: Split | None, classes: int, data: params.DataConfig, seed: int, class_names: Sequence[str] = ()
) -> tuple[Split, Split, Split]:
    """Training, validation and test split, each with the classes in the proportions of the source.

    Where the source has no ``test`` set, `data.test_fraction` of its images become one. Of what is not test,
    `data.val_fraction` is held out for validation. `data.limit` keeps that many images in all, train and test in the
    source's proportion. A class so rare that its proportion would leave a split without it has one image there, in
    exchange for one of the most frequent class; but a validation or test split with fewer images than classes is left
    as it is drawn (`absences`), and a class that the source's own test set lacks is missing in the test split too. Each
    class has a training image. Images without labels (``classes`` is 0) are drawn alike.

    Args:
        train: what to split.
        test: the source's own test set, or None.
        classes: 0: the images have no labels.
        data: the fractions and the limit.
        seed: of the draws.
        class_names: for messages.

    Raises:
        UserError: some class would have no training image, or some split no image.
    """
    names = tuple(class_names) or tuple(map(str, range(classes)))
    needed = 3 if test is None else 2  # images of a class, one for each split that is drawn
    for name, count in zip(names, np.bincount(train.labels, minlength=classes)[:classes], strict=True):
        if count < needed:
            parts = "training, validation and test" if test is None else "training and validation"
            raise UserError(
                f"data.source = {data.source}: found {count} of class {name} for {parts}; each class needs "
                f"{needed} images, one for each: give more images of it, or leave it out"
            )
    random_state = stream_seed(seed, "split") % 2**32
    total = len(train) + (0 if test is None else len(test))
    kept = total if data.limit == "all" else min(data.limit, total)
    n_test = round(kept * data.test_fraction if test is None else kept * len(test) / total)
    n_val = round((kept - n_test) * data.val_fraction)
    n_train = kept - n_test - n_val
    if n_train < max(classes, 1) or not n_val or not n_test:
        keys = "data.limit, data.val_fraction" + ", data.test_fraction" * (test is None)
        least = f"{classes} training images, one of each class" if classes > 1 else "one training image"
        raise UserError(
            f"{keys}: found {kept} images, which become {n_train} training, {n_val} validation and {n_test} test "
            f"images; allowed: at least {least}, and one image of the other kinds"
        )
    everything = np.arange(len(train))
    if test is None:
        rest, drawn = _two(train, everything, (kept - n_test, n_test), (2, 1), classes, random_state)
        test_part = _take(train, drawn)
    else:
        rest, test_part = everything, _subset(test, n_test, classes, random_state)
    train_rows, val_rows = _two(train, rest, (n_train, n_val), (1, 1), classes, random_state)
    return _take(train, train_rows), _take(train, val_rows), test_part


def absences(source: "Source", val: Split, test: Split) -> Iterator[str]:
    """Classes that a drawn split lacks though the source has them, a sentence for each split. Stacked images are left
    out: their classes are drawn, not split."""
    drawn = (("validation", val, source.train, "val"), ("test", test, source.test or source.train, "test"))
    for what, part, origin, key in () if source.stacked else drawn:
        if len(absent := np.setdiff1d(origin.labels, part.labels)):
            names = [source.class_names[label] if source.class_names else str(label) for label in absent]
            yield (
                f"{what} images: none of the {len(part)} is of class {listed(names)}; what is measured on them leaves "
                f"it out; data.limit or data.{key}_fraction makes them more"
            )


def _two(
    whole: Split,
    rows: Rows,
    sizes: tuple[int, int],
    least: tuple[int, int],
    classes: int,
    random_state: int,
) -> tuple[Rows, Rows]:
    """Two disjoint stratified parts of the ``rows`` of the whole, of the given sizes, which need not add up to all;
    each has at least so many rows of each class, the first before the second, unless it has fewer rows than classes."""
    from sklearn.model_selection import train_test_split

    labels = whole.labels[rows] if classes else None
    counts = np.unique(whole.labels[rows], return_counts=True)[1]
    if labels is not None and (counts.min() == 1 or min(sizes) < len(counts)):  # which scikit-learn cannot stratify
        parts = _spaced(labels, rows, sizes, random_state)
    else:
        train_size, test_size = sizes
        parts = train_test_split(
            rows, train_size=train_size, test_size=test_size, stratify=labels, random_state=random_state
        )
    if classes:
        unused = np.setdiff1d(rows, np.concatenate(parts))
        for part, other in ((0, 1), (1, 0)):
            # one of each class comes before a second one of any
            for count in range(1, least[part] + 1 if len(counts) <= sizes[part] else 0):
                _exchange(whole.labels, parts[part], count, unused, 0)
                _exchange(whole.labels, parts[part], count, parts[other], least[0] if part else count - 1)
    return parts[0], parts[1]


def _spaced(labels: NDArray[np.int64], rows: Rows, sizes: tuple[int, int], random_state: int) -> tuple[Rows, Rows]:
    """Two disjoint parts at places that are evenly spaced among the rows, shuffled and then sorted by their labels [n]:
    each class has its proportion rounded down or up, also where it has a single row or the parts few."""
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(rows))
    in_order = rows[order[labels[order].argsort(kind="stable")]]
    both = in_order[_places(len(rows), sum(sizes), rng)]
    second = _places(len(both), sizes[1], rng)
    return rng.permutation(np.delete(both, second)), rng.permutation(both[second])


def _places(count: int, wanted: int, rng: np.random.Generator) -> Rows:
    """So many of ``count`` places, evenly spaced from a random start: each is as likely as any other."""
    return (rng.integers(count) + count * np.arange(wanted)) // wanted


def _exchange(labels: NDArray[np.int64], part: Rows, least: int, giver: Rows, kept: int) -> None:
    """Gives ``part`` rows of each class of which it has fewer than ``least``, in place and one after another: the last
    of the ``giver``, which keeps ``kept`` of the class, for the part's last of its most frequent class."""
    has = np.bincount(labels[part], minlength=int(labels.max()) + 1)
    for label in np.flatnonzero(has < least):
        given = np.flatnonzero(labels[giver] == label)[kept:]
        while has[label] < least and len(given) and has.max() > least:
            most = has.argmax()
            taken = np.flatnonzero(labels[part] == most)[-1]
            part[taken], giver[given[-1]] = giver[given[-1]], part[taken]
            has[label], has[most], given = has[label] + 1, has[most] - 1, given[:-1]


def _subset(whole: Split, n: int, classes: int, random_state: int) -> Split:
    """A stratified part of n images."""
    if n == len(whole):
        return whole
    rows, _ = _two(whole, np.arange(len(whole)), (n, len(whole) - n), (1, 0), classes, random_state)
    return _take(whole, rows)


def _take(whole: Split, rows: Rows) -> Split:
    factors = None if whole.factors is None else whole.factors[rows]
    return Split(arrays.take(whole.images, rows), whole.labels[rows], factors)
