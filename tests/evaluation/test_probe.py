"""What a straight line can read in the latents."""

import numpy as np
import pytest

from genbalance.evaluation.probe import linear_probe, probe_weights

CLASSES = 3


def codes(n, seed, apart, d=4):
    """Codes around a centre for each class, ``apart`` standard deviations from the origin; and their labels."""
    labels = np.arange(n) % CLASSES
    noise = np.random.default_rng(seed).standard_normal((n, d))
    return noise + apart * np.eye(CLASSES, d)[labels], labels


def accuracy(train, train_labels, test, test_labels):
    return linear_probe(train, train_labels, test, test_labels).mean()


def test_classes_that_lie_apart_are_all_read():
    right = linear_probe(*codes(90, 1, 30), *codes(60, 2, 30))
    assert right.shape == (60,)
    assert right.dtype == bool
    assert right.all()


def test_each_test_image_is_compared_with_its_own_label():
    test, labels = codes(60, 2, 30)
    wrong = labels.copy()
    wrong[[4, 17]] = (wrong[[4, 17]] + 1) % CLASSES
    assert np.flatnonzero(~linear_probe(*codes(90, 1, 30), test, wrong)).tolist() == [4, 17]


def test_noise_is_read_at_chance():
    assert accuracy(*codes(3000, 1, 0), *codes(3000, 2, 0)) == pytest.approx(1 / CLASSES, abs=0.04)


def test_it_reads_more_where_the_classes_lie_further_apart():
    values = [accuracy(*codes(600, 1, apart), *codes(600, 2, apart)) for apart in (0, 1, 2, 4)]
    assert values == sorted(values)
    assert values[-1] > 0.95


def test_two_classes_are_read_as_well_as_normal_theory_allows():
    """Centres two standard deviations apart: no rule is right more often than Φ(1)."""
    labels = np.arange(4000) % 2
    x = np.random.default_rng(0).standard_normal((4000, 1)) + 2 * labels[:, None]
    assert accuracy(x[:2000], labels[:2000], x[2000:], labels[2000:]) == pytest.approx(0.8413, abs=0.02)


def test_a_class_that_encircles_another_is_not_read():
    """A parabola would tell all of them apart; a line at best cuts off half of the outer circle."""
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    labels = np.arange(2000) % 2
    x = np.where(labels, 10, 0.1)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert accuracy(x[:1000], labels[:1000], x[1000:], labels[1000:]) < 0.76


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_and_the_origin_of_a_latent_do_not_matter(scale):
    train, labels = codes(300, 1, 1)
    test, test_labels = codes(300, 2, 1)
    factors, origin = np.array([scale, 1, 1, 1 / scale]), np.array([0, 5, -3 * scale, 0])
    expected = linear_probe(train, labels, test, test_labels)
    assert 0.5 < expected.mean() < 0.9
    moved = linear_probe(train * factors + origin, labels, test * factors + origin, test_labels)
    assert (moved == expected).mean() > 0.99


def test_it_gives_the_same_answer_each_time():
    one, two = (linear_probe(*codes(300, 1, 1), *codes(300, 2, 1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_collapsed_codes_are_read_as_the_commonest_class(value):
    labels = np.array([0] * 20 + [1] * 30 + [2] * 10)
    test = np.repeat([0, 1, 2], 5)
    right = linear_probe(np.full((60, 4), value, np.float32), labels, np.full((15, 4), value, np.float32), test)
    np.testing.assert_array_equal(right, test == 1)


def test_fewer_images_than_latents_are_enough():
    train, labels = codes(12, 1, 30, d=40)
    test, test_labels = codes(30, 2, 30, d=40)
    assert accuracy(train.astype(np.float32), labels, test.astype(np.float32), test_labels) > 0.8


def test_classes_that_only_one_side_holds_are_no_error():
    train, labels = codes(90, 1, 30)
    seen = labels < 2
    test, test_labels = codes(30, 2, 30)
    assert accuracy(train[seen], labels[seen], test, test_labels) == pytest.approx(2 / 3)
    assert accuracy(train, labels, test[test_labels == 1], test_labels[test_labels == 1]) == 1


def test_codes_of_one_class_are_named_as_it():
    codes = np.random.default_rng(0).normal(size=(6, 3))
    assert linear_probe(codes, np.full(6, 2), codes, np.array([2, 2, 0, 2, 1, 2])).tolist() == [1, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_weights_name_the_latent_that_each_class_lies_along(classes):
    train, labels = codes(90, 1, 30)
    train, labels = train[labels < classes], labels[labels < classes]
    found, weights = probe_weights(train, labels)
    assert found.tolist() == list(range(classes))
    assert weights.shape == (classes, 4)
    assert weights[:, :classes].argmax(axis=1).tolist() == list(range(classes))
    assert weights.sum(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert np.abs(weights[:, 3]).max() < 0.1 * weights.max()  # nothing lies along the last
