"""The 1-nearest-neighbour two-sample test."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from genbalance.evaluation.two_sample import nearest_neighbour_test
from genbalance.runtime.errors import UserError


def points(n=200, offset=0.0, seed=0, d=5):
    return np.random.default_rng(seed).standard_normal((n, d)) + offset


@pytest.mark.parametrize("offset", [0.0, 0.3, 1.0])
def test_it_is_the_leave_one_out_accuracy_of_scikit_learns_classifier(offset):
    real, generated = points(60), points(60, offset, 1)
    x, y = np.concatenate([real, generated]), np.repeat([0, 1], 60)
    right = [
        KNeighborsClassifier(1).fit(np.delete(x, i, axis=0), np.delete(y, i)).predict(x[[i]])[0] == y[i]
        for i in range(len(x))
    ]
    found = nearest_neighbour_test(real, generated)
    np.testing.assert_array_equal(np.concatenate([found.real, found.generated]), right)
    assert found.accuracy == np.mean(right)


def test_one_distribution_cannot_be_separated_and_distant_ones_can():
    accuracies = [nearest_neighbour_test(points(400), points(400, offset, 1)).accuracy for offset in (0, 0.5, 1, 5)]
    assert accuracies[0] == pytest.approx(0.5, abs=0.06)
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == 1


def test_copies_are_always_taken_for_the_other_kind():
    assert nearest_neighbour_test(points(), points()).accuracy == 0


def test_collapse_is_recognised():
    found = nearest_neighbour_test(points(), np.repeat(points(1, seed=2), 200, axis=0))
    assert found.generated.mean() == 1
    assert found.accuracy > 0.9


def test_where_all_points_are_equal_a_coin_decides():
    assert nearest_neighbour_test(np.ones((20, 3)), np.ones((20, 3))).accuracy == 0.5


def test_both_sides_change_places():
    one, other = (nearest_neighbour_test(*pair) for pair in ((points(), points(offset=0.4, seed=1)),) * 2)
    swapped = nearest_neighbour_test(points(offset=0.4, seed=1), points())
    assert one.accuracy == other.accuracy == swapped.accuracy
    np.testing.assert_array_equal(one.real, swapped.generated)


def test_equally_near_kinds_count_half():
    line = np.arange(4.0)[:, None]
    found = nearest_neighbour_test(line[:2], line[2:])
    assert found.real.tolist() == [1, 0.5]
    assert found.generated.tolist() == [0.5, 1]


def test_copies_of_half_of_the_images_tie_whatever_the_rounding():
    real = points(d=16)
    generated = np.concatenate([real[:100], real[:100]])
    found = nearest_neighbour_test(real, generated)
    assert set(found.real[:100]) == {0}
    # an image that was not copied is as far from its nearest copied one as from the copy of that one
    assert set(found.real[100:]) == {0.5, 1}
    order = np.random.default_rng(2).permutation(200)
    np.testing.assert_array_equal(nearest_neighbour_test(real[order], generated).real, found.real[order])


def test_near_copies_are_nearly_always_taken_for_the_other_kind():
    assert nearest_neighbour_test(points(), points() + 1e-3 * points(seed=1)).accuracy == pytest.approx(0, abs=0.02)


def test_turning_scaling_and_moving_both_sets_changes_nothing():
    a, b, turn = points(), points(offset=0.4, seed=1), np.linalg.qr(points(5, seed=2))[0]
    plain, moved = nearest_neighbour_test(a, b), nearest_neighbour_test(3 * a @ turn + 5, 3 * b @ turn + 5)
    np.testing.assert_array_equal(plain.real, moved.real)
    np.testing.assert_array_equal(plain.generated, moved.generated)


def test_sets_of_unequal_size_or_of_one_image_are_refused():
    with pytest.raises(UserError, match="found 20 real and 30 generated; allowed: equally many"):
        nearest_neighbour_test(points(20), points(30))
    with pytest.raises(UserError, match="found 1 among 1 points"):
        nearest_neighbour_test(points(1), points(1, seed=1))
