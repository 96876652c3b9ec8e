"""A flat map of the latents."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from genbalance.evaluation.lda import discriminant_map

CLASSES = 3


def codes(n, seed, apart, d=6):
    """Codes around a centre for each class, ``apart`` standard deviations from the origin, in the last latents; the
    first one is ten times as wide and tells nothing. And their labels."""
    labels = np.arange(n) % CLASSES
    noise = np.random.default_rng(seed).standard_normal((n, d)) * ([10.0] + [1.0] * (d - 1))
    noise[:, -CLASSES:] += apart * np.eye(CLASSES)[labels]
    return noise, labels


def test_classes_lie_apart_on_it_where_the_widest_directions_mix_them():
    train, labels = codes(600, 1, 6)
    new, new_labels = codes(300, 2, 6)
    plane = discriminant_map(train, labels, new)
    assert plane.shape == (300, 2)
    assert silhouette_score(plane, new_labels) > 0.6
    widest = new[:, :2]
    assert silhouette_score(widest, new_labels) < 0.1


def test_within_a_class_either_axis_has_the_variance_one():
    train, labels = codes(6000, 1, 6)
    plane = discriminant_map(train, labels, train)
    for label in range(CLASSES):
        np.testing.assert_allclose(plane[labels == label].std(axis=0), 1, atol=0.05)


def test_noise_shows_no_classes():
    train, labels = codes(600, 1, 0)
    new, new_labels = codes(300, 2, 0)
    assert abs(silhouette_score(discriminant_map(train, labels, new), new_labels)) < 0.05


def test_the_labels_of_what_is_shown_are_not_asked_for():
    train, labels = codes(600, 1, 6)
    new, _ = codes(300, 2, 6)
    np.testing.assert_allclose(discriminant_map(train, labels, new[:5]), discriminant_map(train, labels, new)[:5])


def test_turned_stretched_and_moved_codes_give_the_same_map():
    train, labels = codes(600, 1, 6)
    new, _ = codes(300, 2, 6)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0] * np.array([1e-2, 1, 3, 1, 1, 20])
    moved = discriminant_map(train @ turn + 5, labels, new @ turn + 5)
    np.testing.assert_allclose(moved, discriminant_map(train, labels, new), atol=1e-6)


def test_the_class_furthest_out_is_on_the_positive_side():
    train, labels = codes(600, 1, 6)
    plane = discriminant_map(train, labels, train)
    middles = np.stack([plane[labels == label].mean(axis=0) for label in range(CLASSES)])
    assert (np.take_along_axis(middles, np.abs(middles).argmax(axis=0)[None], axis=0) > 0).all()


def test_of_two_classes_the_second_axis_is_zero():
    train, labels = codes(600, 1, 6)
    two = labels < 2
    plane = discriminant_map(train[two], labels[two], train)
    assert plane[:, 0].std() > 1
    assert not plane[:, 1].any()


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_collapsed_codes_lie_in_the_middle(value):
    same = np.full((60, 4), value, np.float32)
    assert not discriminant_map(same, np.arange(60) % CLASSES, same[:7]).any()


def test_codes_that_do_not_vary_within_or_between_classes_lie_in_the_middle():
    labels = np.arange(60) % CLASSES
    of_classes = 0.1 * np.eye(CLASSES)[labels]
    assert not discriminant_map(of_classes, labels, of_classes[:7]).any()
    assert not discriminant_map(of_classes[:CLASSES], labels[:CLASSES], of_classes[:7]).any()
    same = np.random.default_rng(0).standard_normal((20, 4)).repeat(CLASSES, axis=0)
    assert not discriminant_map(same, labels, same[:7]).any()


def test_one_latent_and_latents_that_repeat_one_another_are_no_error():
    train, labels = codes(600, 1, 6)
    for some in (train[:, -1:], train[:, [-1, -1, -2, -2]]):
        plane = discriminant_map(some, labels, some)
        assert plane.shape == (600, 2)
        assert np.isfinite(plane).all()


def test_as_many_classes_as_codes_have_no_plane():
    codes = np.random.default_rng(0).normal(size=(5, 3))
    assert discriminant_map(codes, np.arange(5), codes).tolist() == [[0, 0]] * 5
