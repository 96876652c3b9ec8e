"""Distances between all pairs, in blocks, against brute force."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors

from genbalance.evaluation import neighbours
from genbalance.evaluation.neighbours import blocks, mean_distance, nearer, nearest
from genbalance.runtime.errors import UserError


def points(n, d=6, seed=0, offset=0.0):
    return (np.random.default_rng(seed).standard_normal((n, d)) + offset).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 20, 64])
@pytest.mark.parametrize("k", [1, 4])
def test_the_nearest_are_those_of_scikit_learn_whatever_the_blocks(monkeypatch, block, k):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    queries, references = points(20), points(33, seed=1)
    found = nearest(queries, references, k)
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(references).kneighbors(queries)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(found.indices, indices)


@pytest.mark.parametrize("block", [7, 64])
def test_a_point_is_not_its_own_neighbour_but_its_duplicate_is(monkeypatch, block):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    x = points(30)
    x[29] = x[4]
    found = nearest(x, x, 2, same=True)
    assert (found.indices != np.arange(30)[:, None]).all()
    assert found.indices[4, 0] == 29
    assert found.distances[4, 0] == 0
    every = cdist(x, x) + np.diag(np.full(30, np.inf))
    np.testing.assert_allclose(found.distances, np.sort(every, axis=1)[:, :2], atol=1e-6)


def test_copies_are_at_distance_zero_also_far_from_the_origin():
    x = points(40, d=128, offset=1000.0)
    assert (nearest(x[::-1], x, 1).distances == 0).all()
    near = x[:1] + np.float32(0.01)
    assert nearest(near, x[:1], 1).distances[0, 0] == pytest.approx(
        np.linalg.norm(near.astype(float) - x[:1]), rel=1e-6
    )


def test_blocks_hold_every_pair_once():
    a, b = points(30), points(11, seed=2)
    whole = np.concatenate([block.numpy() for _, block in blocks(a, b)])
    np.testing.assert_allclose(whole, cdist(a, b, "sqeuclidean"), rtol=1e-6)


def test_distances_do_not_change_when_all_points_turn_or_move():
    a, b = points(20), points(25, seed=1)
    turn = np.linalg.qr(points(6, 6, 5))[0]
    expected = nearest(a, b, 3)
    for moved in (lambda x: x @ turn, lambda x: x + 3):
        found = nearest(moved(a), moved(b), 3)
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-4)
        np.testing.assert_array_equal(found.indices, expected.indices)


def test_the_mean_distance_is_that_of_all_pairs():
    x = points(50)
    assert mean_distance(x) == pytest.approx(pdist(x.astype(float)).mean(), rel=1e-6)
    assert mean_distance(3 * x) == pytest.approx(3 * mean_distance(x), rel=1e-6)
    assert mean_distance(np.ones((9, 4))) == 0


@pytest.mark.parametrize(("k", "same"), [(0, False), (6, False), (5, True)])
def test_more_neighbours_than_points_are_refused(k, same):
    x = points(5)
    with pytest.raises(UserError, match=rf"found {k} among 5 points; allowed: 1 … {5 - same}"):
        nearest(x, x, k, same)


def test_distances_ascend_and_reach_every_reference_once():
    found = nearest(points(20), points(33, seed=1), 33)
    assert (found.distances.dtype, found.indices.dtype) == (np.float64, np.int64)
    assert (np.diff(found.distances, axis=1) >= 0).all()
    np.testing.assert_array_equal(np.sort(found.indices, axis=1), np.tile(np.arange(33), (20, 1)))


def test_a_point_a_hundred_thousandth_away_is_no_copy():
    x = points(40, d=128)
    found = nearest(x + np.float64(1e-5), x, 1)
    np.testing.assert_allclose(found.distances[:, 0], 1e-5 * np.sqrt(128), rtol=1e-3)


def test_the_nearer_of_two_distances_is_decided_up_to_rounding():
    a = np.array([1.0, 2.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    b = np.array([2.0, 1.0, 1.0, 1.0 + 1e-13, 0.0, 1e-300, 1.0 + 1e-6])
    np.testing.assert_array_equal(nearer(a, b), [1, 0, 0.5, 0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(nearer(b, a), 1 - nearer(a, b))


@pytest.mark.parametrize("n", [2, 6, 7, 8, 15])
def test_the_mean_distance_does_not_depend_on_the_blocks(monkeypatch, n):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert mean_distance(points(n)) == pytest.approx(pdist(points(n).astype(float)).mean(), rel=1e-9)


def test_one_point_has_no_mean_distance():
    with pytest.raises(UserError, match="found 1 points; allowed: at least 2"):
        mean_distance(points(1))
