"""Laws of the three splits."""

import numpy as np
import pytest

from genbalance.data.prepared import Split
from genbalance.data.split import split
from genbalance.runtime.errors import UserError


def rows(*parts):
    """Image and label of each row, as sortable bytes; the images of make_split all differ."""
    return sorted(
        image.tobytes() + bytes([label])
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    )


def shares(part, classes=3):
    return np.bincount(part.labels, minlength=classes) / len(part)


@pytest.fixture(params=["own test set", "no test set"])
def whole(request, make_split):
    return make_split(600, seed=1), make_split(200, seed=2) if request.param == "own test set" else None


def test_splits_are_disjoint_and_their_union_is_everything(whole, make_data):
    parts = split(*whole, 3, make_data(), seed=42)
    together = rows(*parts)
    assert len(set(together)) == len(together)
    assert together == rows(*(part for part in whole if part))


def test_the_official_test_set_stays_the_test_set(make_split, make_data):
    train, test = make_split(600, seed=1), make_split(200, seed=2)
    assert rows(split(train, test, 3, make_data(), seed=42)[2]) == rows(test)


def test_sizes_follow_the_fractions(make_split, make_data):
    parts = split(make_split(600), None, 3, make_data(val_fraction=0.25, test_fraction=0.2), seed=42)
    assert [len(part) for part in parts] == [360, 120, 120]


@pytest.mark.parametrize("limit", ["all", 300])
def test_splits_are_stratified(whole, make_data, limit):
    for part in split(*whole, 3, make_data(limit=limit), seed=42):
        np.testing.assert_allclose(shares(part) * len(part), np.array([1, 2, 3]) / 6 * len(part), atol=1)


@pytest.mark.parametrize("limit", [100, 301, 599, 797, 798, 799])
def test_limit_keeps_exactly_so_many_of_train_and_test_in_proportion(make_split, make_data, limit):
    train, test = make_split(600, seed=1), make_split(200, seed=2)
    parts = split(train, test, 3, make_data(limit=limit), seed=42)
    assert sum(map(len, parts)) == limit
    assert abs(len(parts[2]) - limit / 4) <= 1
    assert len(set(rows(*parts))) == limit


@pytest.mark.parametrize("limit", [100, 599])
def test_limit_keeps_exactly_so_many_without_a_test_set(make_split, make_data, limit):
    parts = split(make_split(600), None, 3, make_data(limit=limit), seed=42)
    assert sum(map(len, parts)) == limit
    assert len(set(rows(*parts))) == limit


def test_a_limit_beyond_the_digits_keeps_all(make_split, make_data):
    assert sum(map(len, split(make_split(600), None, 3, make_data(limit=10_000), seed=42))) == 600


def test_the_same_seed_gives_the_same_split_in_the_same_order(whole, make_data):
    for one, other in zip(*(split(*whole, 3, make_data(), seed=7) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_another_seed_gives_another_split(whole, make_data):
    one, other = (split(*whole, 3, make_data(), seed=seed) for seed in (7, 8))
    assert rows(one[1]) != rows(other[1])


def few(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return Split(np.zeros((len(labels), 8, 8), np.uint8), labels.astype(np.int64))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (few(100, 100, 1), None),
        (few(100, 100, 2), None),
        (few(2, 2, 2), None),
        (few(100, 100, 2), few(30, 30, 30)),
        (few(100, 100, 100), few(0, 0, 0)),
    ],
)
def test_too_few_of_a_class_to_split_is_told_in_one_line(make_data, train, test):
    with pytest.raises(UserError, match=r"each class (in both|needs one)|has no image.*give more") as error:
        split(train, test, 3, make_data(), seed=42)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("limit", ["all", 100])
def test_a_class_that_the_test_set_lacks_is_missing_in_the_test_split_alone(make_data, limit):
    parts = split(few(100, 100, 100), few(30, 0, 30), 3, make_data(limit=limit), seed=42)
    assert [set(part.labels) for part in parts] == [{0, 1, 2}, {0, 1, 2}, {0, 2}]


def test_a_class_that_only_the_limit_leaves_without_test_images_is_refused(make_data):
    with pytest.raises(UserError, match="class 2 has no image in the test split of 17"):
        split(few(1000, 1000, 1000), few(300, 300, 3), 3, make_data(limit=100), seed=42)
