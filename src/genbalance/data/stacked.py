"""Stacked MNIST (Metz et al. 2017, arXiv:1611.02163, section 3.3.1): three digits as the channels of one colour image,
whose class is the number that they make, so that a set of 1,000 modes is known.

The digits are split before they are stacked, and each split is stacked out of its own digits: no digit is in two.
"""

import numpy as np
from numpy.typing import NDArray

from genbalance import params
from genbalance.data.prepared import Split
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

DIGITS = 10
CHANNELS = 3
CLASSES = DIGITS**CHANNELS
CLASS_NAMES = tuple(f"{label:03d}" for label in range(CLASSES))
"""What the classes are called: 007 is two zeros and a seven."""

TRAIN = 25_600
"""Training images. The literature takes 128,000 (Metz et al. 2017; Lin et al. 2018, arXiv:1712.04086), which are 1.2 GB
as float32; a fifth of them still shows each mode 26 times on average (the chance that one is missing is 10⁻⁸), and an
epoch takes a fifth of the time."""
TEST = 10_000
"""Test images: as many as `evaluate.samples` asks for."""


def stack(split: Split, count: int, rng: np.random.Generator) -> Split:
    """``count`` images, each of three digits that are drawn from the split with replacement.

    Args:
        split: digits uint8 [n, height, width] of the classes 0 … 9, each with an image.
        count: how many images to make.
        rng: draws three digits an image.

    Returns:
        Images uint8 [count, height, width, 3] whose red, green and blue are the first, second and third digit; their
        labels, 100·first + 10·second + third.

    Raises:
        UserError: the split is not of ten classes, each with an image, or is in colour.
    """
    if split.images.ndim != CHANNELS:
        raise UserError("stacked images: found digits in colour; allowed: grey ones, each becomes a channel")
    found = np.unique(split.labels)
    if not np.array_equal(found, np.arange(DIGITS)):
        raise UserError(
            f"stacked images: found digits of {len(found)} classes, {found[0]} … {found[-1]}; "
            "needed: 0 … 9, an image of each in each split"
        )
    drawn = rng.integers(len(split), size=(count, CHANNELS))
    images = np.ascontiguousarray(split.images[drawn].transpose(0, 2, 3, 1))
    return Split(images, label(split.labels[drawn]))


def label(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class [n] of the three digits [n, 3]: the number that they make."""
    classes: NDArray[np.int64] = digits @ DIGITS ** np.arange(CHANNELS)[::-1]
    return classes


def digits(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The three digits [n, 3] of classes [n]: the inverse of `label`."""
    return labels[:, None] // DIGITS ** np.arange(CHANNELS)[::-1] % DIGITS


def sizes(data: params.DataConfig) -> tuple[int, int, int]:
    """How many training, validation and test images there are.

    TRAIN and TEST, and `data.val_fraction` times TRAIN for validation, none of which training lacks: they are digits
    of their own. `data.limit` keeps that many images in all, in the same proportions. `data.test_fraction` splits the
    digits alone.
    """
    whole = {"val": round(TRAIN * data.val_fraction), "test": TEST}
    total = TRAIN + sum(whole.values())
    kept = total if data.limit == "all" else min(data.limit, total)
    val, test = (round(kept * part / total) for part in whole.values())
    return kept - val - test, val, test


def stack_splits(
    train: Split, val: Split, test: Split, data: params.DataConfig, seed: int
) -> tuple[Split, Split, Split]:
    """The stacked images of three splits of digits, `sizes` of each; drawn from the streams ``stacked/<split>``.

    Raises:
        UserError: what `stack` raises.
    """
    parts = zip(("train", "val", "test"), (train, val, test), sizes(data), strict=True)
    made = [stack(part, n, np.random.default_rng(stream_seed(seed, f"stacked/{name}"))) for name, part, n in parts]
    return made[0], made[1], made[2]
