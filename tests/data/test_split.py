"""Laws of the three splits."""

from dataclasses import replace

import numpy as np
import pytest

from genbalance.data.prepared import Split
from genbalance.data.sources import Source
from genbalance.data.split import absences, split, split_source, with_shares
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
        (few(100, 100, 1), few(30, 30, 30)),
        (few(1, 100, 100), few(0, 30, 30)),
    ],
)
def test_too_few_of_a_class_to_split_is_told_in_one_line(make_data, train, test):
    with pytest.raises(UserError, match=r"each class needs [23] images.*give more") as error:
        split(train, test, 3, make_data(), seed=42)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("train", "test", "changes", "found"),
    [
        ((9,) * 90, None, {"limit": 100}, (100, 72, 8, 20)),
        (
            (3,) * 40,
            None,
            {"limit": 100, "val_fraction": 0.5, "test_fraction": 0.3},
            (100, 35, 35, 30),
        ),
        ((9,) * 90, (1,) * 90, {"limit": 101}, (101, 82, 9, 10)),
        ((4,), None, {}, (4, 3, 0, 1)),
        ((2000,), (5,), {"limit": 100}, (100, 90, 10, 0)),
    ],
)
def test_what_leaves_a_class_no_training_image_or_a_split_empty_names_its_keys(make_data, train, test, changes, found):
    with pytest.raises(UserError) as error:
        split(few(*train), test and few(*test), len(train), make_data(**changes), seed=42)
    keys = "data.limit, data.val_fraction" + ", data.test_fraction" * (test is None)
    kept, *sizes = found
    became = "{} training, {} validation and {} test images".format(*sizes)
    assert str(error.value).startswith(f"{keys}: found {kept} images, which become {became}; allowed: at least ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("limit", ["all", 100])
def test_a_class_that_the_test_set_lacks_is_missing_in_the_test_split_alone(make_data, limit):
    parts = split(few(100, 100, 100), few(30, 0, 30), 3, make_data(limit=limit), seed=42)
    assert [set(part.labels) for part in parts] == [{0, 1, 2}, {0, 1, 2}, {0, 2}]


def test_a_class_that_only_the_limit_would_leave_without_test_images_has_one(make_data):
    parts = split(few(1000, 1000, 1000), few(300, 300, 3), 3, make_data(limit=100), seed=42)
    assert [len(part) for part in parts] == [75, 8, 17]
    assert np.bincount(parts[2].labels)[2] == 1


def numbered(*counts):
    """Each image shows its own number."""
    whole = few(*counts)
    whole.images[:] = (
        np.arange(len(whole), dtype=np.uint16).view(np.uint8).reshape(-1, 2).repeat(32, 1).reshape(-1, 8, 8)
    )
    return whole


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("limit", ["all", 150])
@pytest.mark.parametrize("test", [None, (40, 30, 20, 10)])
@pytest.mark.parametrize("counts", [(400, 3, 3, 3), (3, 400, 9, 4), (50, 3, 150, 3)])
def test_a_class_of_three_images_is_in_each_split_and_nothing_is_in_two(make_data, counts, test, limit, seed):
    whole = numbered(*counts)
    parts = split(whole, test and few(*test), 4, make_data(limit=limit), seed)
    assert all(set(part.labels) == {0, 1, 2, 3} for part in parts)
    drawn = rows(*parts[: 2 if test else 3])
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(rows(whole))
    plain = split(few(sum(counts)), test and few(sum(test)), 0, make_data(limit=limit), seed)
    assert [len(part) for part in parts] == [len(part) for part in plain]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("counts", "test", "limit", "sizes"),
    [
        ((8,) * 200, None, "all", [1152, 128, 320]),  # fewer validation images than classes
        ((3,) * 40, None, "all", [86, 10, 24]),  # and fewer test images
        ((30,) * 100, (6,) * 100, 250, [187, 21, 42]),
        ((3, 3, 3, 300), (50, 1, 50, 50), 100, [60, 7, 33]),  # a class with one test image
        ((5,) * 65, (2,) * 65, 101, [65, 7, 29]),  # as many training images as classes
    ],
)
def test_where_a_split_has_less_images_than_classes_each_class_is_in_training(
    make_data, counts, test, limit, sizes, seed
):
    whole = numbered(*counts)
    parts = split(whole, test and few(*test), len(counts), make_data(limit=limit), seed)
    assert [len(part) for part in parts] == sizes
    assert set(parts[0].labels) == set(range(len(counts)))
    for part in parts[1:]:
        if len(part) >= len(counts) or len(set(counts)) == 1:  # each class, or as many as there is room for
            assert len(set(part.labels)) == min(len(part), len(counts))
    drawn = rows(*parts[: 2 if test else 3])
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(rows(whole))


def test_a_draw_that_cannot_have_each_class_follows_their_proportions(make_data):
    counts = np.array([400, 200, 100, *[4] * 60])
    _, val, _ = split(numbered(*counts), None, len(counts), make_data(val_fraction=0.05), seed=3)
    expected = counts / counts.sum() * len(val)
    assert len(val) < len(counts)
    assert (np.abs(np.bincount(val.labels)[:3] - expected[:3]) < 2).all()


def test_each_image_is_as_likely_to_be_drawn_for_validation(make_data):
    """Of ten classes of four images each, four of forty are drawn: a tenth of the seeds draw an image."""
    whole = numbered(*[4] * 10)
    drawn = [split(whole, few(*[9] * 10), 10, make_data(), seed)[1].images[:, 0, 0] for seed in range(400)]
    counts = np.bincount(np.concatenate(drawn), minlength=40)
    assert counts.sum() == 1600
    assert 15 < counts.min() <= counts.max() < 70


def test_classes_that_a_split_lacks_are_told_by_their_names(make_data):
    names = tuple(f"kind {label}" for label in range(30))
    for test in (None, few(*[20] * 29, 0)):
        source = Source(numbered(*[40] * 30), test, 30, "made", {}, class_names=names)
        parts = split_source(source, make_data(limit=100), seed=1)
        absent = [[name for label, name in enumerate(names) if label not in part.labels] for part in parts]
        assert absent[0] == []
        assert absent[1]
        val, *rest = absences(source, *parts[1:])
        assert val.startswith(f"validation images: none of the {len(parts[1])} is of class {', '.join(absent[1][:5])}")
        assert val.endswith("data.limit or data.val_fraction makes them more")
        assert len(rest) == (1 if test is None or len(parts[2]) < 29 else 0)
        assert not [text for text in rest if "kind 29" in text and test]  # reading the source names its own lack
    assert not [*absences(source, source.train, source.test)]


def test_images_without_labels_are_drawn_alike(make_data):
    whole = numbered(400)
    parts = split(whole, None, 0, make_data(), seed=1)
    assert [len(part) for part in parts] == [288, 32, 80]
    assert rows(*parts) == rows(whole)


def test_one_class_is_split_as_any(make_data):
    parts = split(numbered(400), None, 1, make_data(), seed=1)
    assert [len(part) for part in parts] == [288, 32, 80]


def test_factors_go_with_their_images(make_data):
    whole = numbered(100, 200)
    factors = np.stack([np.arange(300), -np.arange(300)], 1)
    for part in split(Split(whole.images, whole.labels, factors), None, 2, make_data(), seed=1):
        number = part.images[:, 0, 0] + 256 * part.images[:, 7, 7].astype(int)
        np.testing.assert_array_equal(part.factors, np.stack([number, -number], 1))


def test_a_rare_class_is_called_by_its_name(make_data):
    with pytest.raises(UserError, match="found 2 of class owl for training, validation and test; each class needs 3"):
        split(few(100, 2), None, 2, make_data(), 1, ("cat", "owl"))


@pytest.fixture
def three(make_split):
    """A source of 600 images of three named classes, one to two to three, and its own test set."""
    return Source(make_split(600, seed=1), make_split(200, seed=2), 3, "Made", {}, class_names=("a", "b: c", "d"))


def test_class_shares_act_on_the_training_split_alone(three, make_data):
    whole = split_source(three, make_data(), 7)
    for text, expected in (("d:0.1", (1, 1, 0.1)), ("b: c:0.5, a:.25", (0.25, 0.5, 1)), ("a:1", (1, 1, 1))):
        train, val, test = split_source(three, make_data(class_shares=text), 7)
        np.testing.assert_array_equal(
            np.bincount(train.labels), (np.bincount(whole[0].labels) * expected).round().astype(int)
        )
        assert set(rows(train)) <= set(rows(whole[0]))
        assert (rows(val), rows(test)) == (rows(whole[1]), rows(whole[2]))


def test_a_smaller_share_is_a_part_of_a_larger_one_and_keeps_an_image(three, make_data):
    none, some, more = (
        split_source(three, make_data(class_shares=f"d:{share}"), 7)[0] for share in ("0.0001", "0.1", "0.5")
    )
    assert np.bincount(none.labels)[2] == 1
    assert set(rows(none)) < set(rows(some)) < set(rows(more))


def test_the_images_that_stay_keep_their_order_and_factors():
    made = Split(np.arange(8, dtype=np.uint8).reshape(8, 1, 1), np.array([0, 1] * 4), np.arange(8)[:, None])
    kept = with_shares(made, {"1": 0.5}, ("0", "1"))
    assert kept.images.ravel().tolist() == kept.factors.ravel().tolist() == [0, 1, 2, 3, 4, 6]
    assert with_shares(made, {}, ("0", "1")) is made


def test_a_share_of_a_class_that_is_none_is_refused_by_its_name(three, make_data):
    with pytest.raises(UserError, match=r"^data.class_shares: found class e; allowed: of a, b: c, d$"):
        split_source(three, make_data(class_shares="a:0.5,e:0.1"), 7)
    unlabelled = replace(three, classes=0, class_names=())
    with pytest.raises(UserError, match="found class a; allowed: none, as the images have no two classes"):
        split_source(unlabelled, make_data(class_shares="a:0.5"), 7)
