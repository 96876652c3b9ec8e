"""Train, validation and test: stratified, disjoint, drawn from the seed."""

import numpy as np
from numpy.typing import NDArray

from genbalance import params
from genbalance.data.prepared import Split
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed


def split(
    train: Split, test: Split | None, classes: int, data: params.DataConfig, seed: int
) -> tuple[Split, Split, Split]:
    """Training, validation and test split, each with images of every class in the proportions of the source; a class
    of which the source's own test set has none is missing in the test split too.

    Where the source has no ``test`` set, `data.test_fraction` of its images become one. Of what is not test,
    `data.val_fraction` is held out for validation. `data.limit` keeps that many images in all, train and test in the
    source's proportion.

    Raises:
        UserError: some class would have no image in some split.
    """
    random_state = stream_seed(seed, "split") % 2**32
    total = len(train) + (0 if test is None else len(test))
    kept = total if data.limit == "all" else min(data.limit, total)
    if test is None:
        n_test = round(kept * data.test_fraction)
        rest, test_part = _two(train, kept - n_test, n_test, random_state)
    else:
        n_test = round(kept * len(test) / total)
        test_part = _subset(test, n_test, classes, random_state)
        n_test = len(test_part)
        rest = train
    n_val = round((kept - n_test) * data.val_fraction)
    train_part, val_part = _two(rest, kept - n_test - n_val, n_val, random_state)
    parts = (("training", train_part, train), ("validation", val_part, train), ("test", test_part, test or train))
    for name, part, whole in parts:
        missing = np.setdiff1d(whole.labels, part.labels)
        if len(missing):
            raise UserError(
                f"data.{data.source}: class {missing[0]} has no image in the {name} split of {len(part)}; "
                "each class needs one in each split: give more images, a larger data.limit or a larger fraction"
            )
    return train_part, val_part, test_part


def _two(whole: Split, first: int, second: int, random_state: int) -> tuple[Split, Split]:
    """Two disjoint stratified parts of the given sizes, which need not add up to the whole."""
    from sklearn.model_selection import train_test_split

    try:
        left, right = train_test_split(
            np.arange(len(whole)),
            train_size=first,
            test_size=second,
            stratify=whole.labels,
            random_state=random_state,
        )
    except ValueError as error:
        raise UserError(
            f"data: {len(whole)} images cannot be split into {first} and {second} with each class in both ({error}); "
            "give more images, a larger data.limit or other fractions"
        ) from None
    return _take(whole, left), _take(whole, right)


def _subset(whole: Split, n: int, classes: int, random_state: int) -> Split:
    """A stratified part of about n images: all of them where fewer than one a class would be left out."""
    if len(whole) - n < classes:
        return whole
    return _two(whole, n, len(whole) - n, random_state)[0]


def _take(whole: Split, chosen: NDArray[np.int64]) -> Split:
    return Split(whole.images[chosen], whole.labels[chosen])
