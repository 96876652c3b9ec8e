"""The classes that the classifier reads in a set of images."""

import numpy as np
import pytest

from genbalance.evaluation.classes import class_preserved, class_shares, draw_labels, read_classes, total_variation


def probabilities(n=60, classes=5, sharpness=3.0, seed=0):
    logits = np.random.default_rng(seed).standard_normal((n, classes)) * sharpness
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_shares_count_readings_and_sum_to_one():
    p = np.eye(4)[[0, 0, 0, 2, 2, 3, 0, 0, 0, 0]] * 0.7 + 0.1
    shares = class_shares(p)
    np.testing.assert_allclose(shares, [0.7, 0, 0.2, 0.1])
    assert class_shares(probabilities()).sum() == pytest.approx(1)


def test_classes_that_nothing_is_read_as_have_a_share_of_zero():
    np.testing.assert_array_equal(class_shares(np.eye(5)[[1, 1, 2, 1]]), [0, 0.75, 0.25, 0, 0])


def test_an_image_is_read_as_its_most_probable_class():
    p = probabilities(20)
    assert read_classes(p).tolist() == [max(range(5), key=lambda k, row=row: row[k]) for row in p]
    np.testing.assert_array_equal(np.bincount(read_classes(p), minlength=5) / 20, class_shares(p))


def test_the_total_variation_is_the_share_of_images_that_would_have_to_change_class():
    assert total_variation(np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.1, 0.4])) == pytest.approx(0.2)
    assert total_variation(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == 1
    even = np.full(7, 1 / 7)
    assert total_variation(even, even) == 0


def test_the_total_variation_is_a_metric_that_no_class_name_changes():
    a, b, c = (class_shares(probabilities(seed=seed)) for seed in range(3))
    assert total_variation(a, b) == total_variation(b, a) == pytest.approx(total_variation(a[::-1], b[::-1]))
    assert total_variation(a, c) <= total_variation(a, b) + total_variation(b, c)
    assert 0 < total_variation(a, b) < 1
    # of all sets of classes, the one whose share differs most
    assert total_variation(a, b) == pytest.approx((a - b).clip(min=0).sum())


def test_a_class_is_preserved_where_the_label_is_read():
    p = np.eye(4)[[0, 0, 2, 3]] * 0.7 + 0.1
    assert class_preserved(p, np.array([0, 1, 2, 0])).tolist() == [True, False, True, False]


def test_labels_are_drawn_evenly_with_their_shares_and_by_the_seed():
    labels = np.repeat([0, 3, 7], [10, 30, 60])
    drawn = draw_labels(labels, 5000, 1)
    assert set(drawn.tolist()) == {0, 3, 7}
    for run in (drawn, drawn[:1000], drawn[1234:2234]):
        assert np.abs(np.bincount(run)[[0, 3, 7]] - len(run) * np.array([0.1, 0.3, 0.6])).max() < 4
    np.testing.assert_array_equal(drawn, draw_labels(labels, 5000, 1))
    assert (drawn != draw_labels(labels, 5000, 2)).any()
