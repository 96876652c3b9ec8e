"""Stacked digits: what an image and its label are made of, and that no digit is in two splits."""

import numpy as np
import pytest

from genbalance.data.prepared import Split
from genbalance.data.sources import Source
from genbalance.data.split import split_source
from genbalance.data.stacked import CLASS_NAMES, TEST, TRAIN, digits, label, sizes, stack
from genbalance.runtime.errors import UserError


@pytest.fixture
def ten():
    """Digits of ten classes, each different from all others."""

    def make(n=60, seed=0):
        images = np.random.default_rng(seed).integers(0, 256, (n, 9, 8), dtype=np.uint8)
        return Split(images, np.arange(n, dtype=np.int64) % 10)

    return make


def rng(seed=0):
    return np.random.default_rng(seed)


def origins(stacked, split):
    """For each image and channel [n, 3] the row of the digit in the split, −1 where there is none."""
    rows = {image.tobytes(): row for row, image in enumerate(split.images)}
    return np.array([[rows.get(image[..., c].tobytes(), -1) for c in range(3)] for image in stacked.images])


def test_each_channel_is_a_digit_of_the_split_and_the_label_the_number_that_they_make(ten):
    split = ten()
    made = stack(split, 500, rng())
    assert (made.images.shape, made.images.dtype) == ((500, 9, 8, 3), np.uint8)
    assert (made.labels.shape, made.labels.dtype) == ((500,), np.int64)
    rows = origins(made, split)
    assert rows.min() >= 0
    first, second, third = split.labels[rows].T
    np.testing.assert_array_equal(made.labels, 100 * first + 10 * second + third)


def test_the_channels_are_drawn_independently_and_each_digit_as_often(ten):
    rows = origins(made := stack(ten(), 6000, rng()), ten())
    counts = np.stack([np.bincount(rows[:, channel], minlength=60) for channel in range(3)])
    assert np.abs(counts - 100).max() < 5 * 10  # five standard deviations of a Poisson count of 100
    assert np.abs(np.corrcoef(digits(made.labels).T) - np.eye(3)).max() < 5 / np.sqrt(6000)


def test_label_and_digits_are_inverse_and_the_name_shows_all_three():
    everything = np.arange(1000)
    np.testing.assert_array_equal(label(digits(everything)), everything)
    np.testing.assert_array_equal(digits(np.array([7])), [[0, 0, 7]])
    assert (CLASS_NAMES[7], CLASS_NAMES[123], len(CLASS_NAMES)) == ("007", "123", 1000)


def test_no_digit_is_in_two_splits_and_the_seed_decides_all(ten, make_data):
    data, whole = make_data(source="stacked", limit=400), ten(n=600)
    source = Source(whole, None, len(CLASS_NAMES), "", {}, stacked=True)
    made = split_source(source, data, 0)
    digits_of = [set(origins(part, whole).ravel().tolist()) for part in made]
    assert all(min(rows) >= 0 for rows in digits_of)
    assert sum(map(len, digits_of)) == len(set.union(*digits_of))
    assert [len(part) for part in made] == list(sizes(data))
    same, other = (split_source(source, data, seed) for seed in (0, 1))
    assert [part.images.tobytes() for part in made] == [part.images.tobytes() for part in same]
    assert all((one.labels != two.labels).any() for one, two in zip(made, other, strict=True))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (TRAIN, 2560, TEST)),
        ({"val_fraction": 0.5}, (TRAIN, TRAIN // 2, TEST)),
        ({"test_fraction": 0.5}, (TRAIN, 2560, TEST)),
        ({"limit": 10**6}, (TRAIN, 2560, TEST)),
        ({"limit": 3816}, (2560, 256, 1000)),
        ({"limit": 100}, (67, 7, 26)),
    ],
)
def test_the_limit_counts_all_images_and_keeps_the_proportions(make_data, changes, expected):
    assert sizes(make_data(source="stacked", **changes)) == expected


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda split: Split(split.images[split.labels < 9], split.labels[split.labels < 9]), "9 classes, 0 … 8"),
        (lambda split: Split(split.images, split.labels + 1), "10 classes, 1 … 10"),
        (lambda split: Split(split.images, split.labels * 2 % 26), "0 …"),
        (lambda split: Split(split.images[..., None].repeat(3, axis=3), split.labels), "in colour; allowed: grey"),
    ],
)
def test_what_is_not_ten_grey_digits_is_refused_in_one_line(ten, spoil, found):
    with pytest.raises(UserError, match=rf"stacked images: found digits .*{found}") as error:
        stack(spoil(ten()), 5, rng())
    assert "\n" not in str(error.value)
