"""Are copies of training images found, and fresh samples not accused?"""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, norm

from genbalance.evaluation.memorization import authenticity, data_copying, nearer_to_training
from genbalance.evaluation.neighbours import nearest
from genbalance.runtime.errors import UserError


def points(n=300, seed=0, d=4, offset=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) + offset


def copying(generated, train, test, cells=1):
    to_train = [nearest(x, train, 1).distances[:, 0] for x in (generated, test)]
    return data_copying(*to_train, *(np.arange(len(x)) % cells for x in (generated, test)))


def test_authenticity_is_what_brute_force_makes_of_its_definition():
    generated, train = points(80, 1), points(120)
    found = authenticity(generated, train)
    to_train, among = cdist(generated, train), cdist(train, train) + np.diag(np.full(120, np.inf))
    near = to_train.argmin(axis=1)
    own = among.min(axis=1)[near]
    np.testing.assert_array_equal(found.nearest, near)
    np.testing.assert_allclose(found.distance, to_train.min(axis=1))
    np.testing.assert_array_equal(found.authentic, to_train.min(axis=1) > own)
    np.testing.assert_allclose(found.ratio, to_train.min(axis=1) / own)


def test_copies_are_flagged_by_all_three():
    train, test = points(600), points(300, 1)
    copies = train[:300]
    found = authenticity(copies, train)
    assert found.authentic.mean() == 0
    assert (found.ratio == 0).all()
    np.testing.assert_array_equal(found.nearest, np.arange(300))
    assert copying(copies, train, test, cells=3) < -8
    assert nearer_to_training(copies, train[:300], test).mean() == 1


def test_near_copies_are_flagged_too():
    train, test = points(600), points(300, 1)
    near = train[:300] + 0.01 * points(300, 2)
    assert authenticity(near, train).authentic.mean() < 0.02
    assert copying(near, train, test) < -8
    assert nearer_to_training(near, train[:300], test).mean() > 0.97


def test_fresh_samples_of_the_same_distribution_are_not_accused():
    train, test = points(2000, d=8), points(600, 1, d=8)
    scores = [copying(points(600, seed, d=8), train, test, cells=4) for seed in range(2, 12)]
    assert np.abs(np.mean(scores)) < 2  # the ten share their test set
    assert np.std(scores) < 2
    share = [nearer_to_training(points(600, seed, d=8), train[:600], test).mean() for seed in range(2, 12)]
    assert np.mean(share) == pytest.approx(0.5, abs=0.05)
    # of fresh points, about as many are further from their neighbour than it from its own, as are nearer
    assert authenticity(points(600, 2, d=8), train).authentic.mean() == pytest.approx(0.6, abs=0.15)


def test_samples_far_from_all_data_are_authentic_and_underfit():
    train, test = points(600), points(300, 1)
    far = points(300, 2, offset=9)
    assert authenticity(far, train).authentic.mean() == 1
    assert copying(far, train, test, cells=3) > 8


def test_without_cells_the_score_is_that_of_the_mann_whitney_test():
    a, b = np.random.default_rng(0).integers(0, 20, 50).astype(float), np.random.default_rng(1).integers(3, 25, 70)
    p = mannwhitneyu(a, b, use_continuity=False, method="asymptotic", alternative="less").pvalue
    z = data_copying(a, b.astype(float), np.zeros(50, int), np.zeros(70, int))
    assert norm.cdf(z) == pytest.approx(p, rel=1e-9)
    assert data_copying(b.astype(float), a, np.zeros(70, int), np.zeros(50, int)) == pytest.approx(-z, rel=1e-9)


def test_the_score_is_the_mean_over_cells_weighted_by_their_share_of_the_test_images():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(200), rng.random(300) + 0.2
    cells, test_cells = np.repeat([0, 1], 100), np.repeat([0, 1], [200, 100])
    each = [
        data_copying(ours[cells == c], theirs[test_cells == c], cells[cells == c], test_cells[test_cells == c])
        for c in (0, 1)
    ]
    assert data_copying(ours, theirs, cells, test_cells) == pytest.approx((2 * each[0] + each[1]) / 3, rel=1e-12)


def test_a_copying_cell_is_seen_though_the_whole_hides_it():
    train, test = np.concatenate([points(300), points(300, 1, offset=50)]), points(300, 2)
    test[150:] += 50
    spread = points(300, 3)
    spread[:150] = train[:150]
    spread[150:] = points(150, 4) * 3 + 50
    halves = np.repeat([0, 1], 150)
    to_train = [nearest(x, train, 1).distances[:, 0] for x in (spread, test)]
    first = data_copying(to_train[0][:150], to_train[1][:150], halves[:150], halves[:150])
    assert first < -8 < data_copying(*to_train, halves, halves)


def test_cells_with_few_images_are_left_out_and_without_any_the_whole_is_one():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(60), rng.random(60)
    cells = np.repeat([0, 1], [50, 10])
    alone = data_copying(ours[:50], theirs[:50], cells[:50], cells[:50])
    assert data_copying(ours, theirs, cells, cells) == pytest.approx(alone)
    tiny = np.arange(60) % 30
    assert data_copying(ours, theirs, tiny, tiny) == data_copying(ours, theirs, np.zeros(60, int), np.zeros(60, int))


def test_turning_moving_and_scaling_change_nothing():
    train, test, generated = points(200), points(100, 1), points(100, 2)
    turn = np.linalg.qr(points(4, 5))[0]
    before = authenticity(generated, train)
    after = authenticity(3 * generated @ turn + 1, 3 * train @ turn + 1)
    np.testing.assert_array_equal(before.nearest, after.nearest)
    np.testing.assert_allclose(before.ratio, after.ratio, rtol=1e-9)
    score = copying(*(3 * x @ turn + 1 for x in (generated, train, test)))
    assert score == pytest.approx(copying(generated, train, test), rel=1e-9)


def test_equal_points_give_finite_numbers():
    point, train = np.ones((40, 4)), points(60)
    for generated, of in ((point, train), (train, np.repeat(point, 2, axis=0)), (point, np.ones((50, 4)))):
        found = authenticity(generated, of)
        assert np.isfinite(found.ratio).all()
        assert np.isfinite(copying(generated, of, points(40, 1)))
    assert copying(point, np.ones((50, 4)), point) == 0
    assert nearer_to_training(point, point, point).mean() == 0.5


def test_the_ratio_puts_copies_first():
    train = points(600)
    found = authenticity(np.concatenate([points(50, 1), train[[7]], train[[8]] + 1e-3]), train)
    assert np.argsort(found.ratio, kind="stable")[:2].tolist() == [50, 51]
    np.testing.assert_array_equal(found.authentic, found.ratio > 1)


def test_beside_a_duplicated_training_image_the_ratio_is_finite():
    train = points()
    generated = np.stack([train[0], train[0] + 1e-3])
    found = authenticity(generated, np.concatenate([train[:1], train]))
    assert found.authentic.tolist() == [0, 1]
    assert found.ratio.tolist() == [0, np.finfo(np.float64).max]


@pytest.mark.parametrize("offset", [0.0, 0.1, 7.3])
def test_a_sample_as_far_from_its_image_as_that_from_the_next_is_not_authentic(offset):
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)
    beside = grid[grid[:, 0] == 0] - [1, 0, 0]
    assert authenticity(beside + offset, grid + offset).authentic.tolist() == [0] * 9


def test_one_training_image_is_refused():
    with pytest.raises(UserError, match="found 2 among 1 points"):
        authenticity(points(20), points(1))


def test_nearer_to_training_is_what_brute_force_makes_of_its_definition():
    generated, train, test = points(280, 2), points(300), points(300, 1)
    to_train, to_test = (cdist(generated, x).min(axis=1) for x in (train, test))
    found = nearer_to_training(generated, train, test)
    np.testing.assert_array_equal(found, to_train < to_test)
    np.testing.assert_array_equal(nearer_to_training(generated, test, train), 1 - found)


def test_the_same_images_on_both_sides_count_half():
    assert set(nearer_to_training(points(280, 2), points(), points()[::-1])) == {0.5}


def test_unequal_numbers_of_training_and_test_images_are_refused():
    with pytest.raises(UserError, match="found 60 training and 59 test; allowed: equally many"):
        nearer_to_training(points(20), points(60), points(59))


@pytest.mark.parametrize(
    ("ours_few", "theirs_few", "counts"),
    [(19, 20, False), (20, 19, False), (0, 20, False), (20, 20, True)],
)
def test_a_cell_counts_from_twenty_images_of_either_kind(ours_few, theirs_few, counts):
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(60 + ours_few), rng.random(60 + theirs_few)
    ours[60:] += 5
    found = data_copying(ours, theirs, np.repeat([0, 1], [60, ours_few]), np.repeat([0, 1], [60, theirs_few]))
    first = data_copying(ours[:60], theirs[:60], np.zeros(60, int), np.zeros(60, int))
    assert (found != pytest.approx(first)) == counts


def test_the_order_of_the_images_does_not_matter():
    rng, sets = np.random.default_rng(9), (points(280, 2) * 0.9, points(300), points(300, 1))
    shuffled = [rng.permutation(x) for x in sets]
    assert authenticity(*shuffled[:2]).authentic.mean() == authenticity(*sets[:2]).authentic.mean()
    assert nearer_to_training(*shuffled).mean() == nearer_to_training(*sets).mean()
    assert copying(*shuffled) == pytest.approx(copying(*sets), rel=1e-9)
