"""What is chosen of many candidates."""

import numpy as np
import pytest

from genbalance.generation.selection import NEAR, SHORTLIST, farthest_first, ranked, select, usable

N = 60


@pytest.fixture
def candidates():
    """features, score, copying, reach: nobody near a training digit or another one."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 5)).astype(np.float32), rng.random(N), np.ones(N), np.full(N, 0.01)


def test_the_highest_score_comes_first(candidates):
    features, score, *_ = candidates
    assert list(ranked(features, score)) == list(np.argsort(-score))


def test_near_copies_of_training_digits_go_and_nothing_else(candidates):
    features, score, copying, reach = candidates
    copying[::3] = np.linspace(0, NEAR, len(copying[::3]), endpoint=False)
    copying[1] = NEAR
    assert set(usable(features, score, copying, reach)) == set(range(N)) - set(range(0, N, 3))


def test_the_best_copy_is_not_chosen_however_good_it_is(candidates):
    features, score, copying, reach = candidates
    score[7], copying[7] = 100.0, 0.0
    assert 7 not in select(features, score, copying, reach, N)


def test_of_near_duplicates_the_best_one_stays(candidates):
    features, score, copying, reach = candidates
    near = features[5] + np.float32([0.5 * NEAR * 0.01, 0, 0, 0, 0])
    features[[20, 30]] = features[5], near
    score[[5, 20, 30]] = 0.2, 0.3, 0.9
    assert set(range(N)) - set(usable(features, score, copying, reach)) == {5, 20}


def test_of_equal_candidates_one_stays_even_where_training_digits_have_no_distance(candidates):
    features, score, copying, reach = candidates
    features[:], reach[:] = features[0], 0
    assert len(usable(features, score, copying, reach)) == 1


def test_a_duplicate_of_what_was_dropped_as_a_copy_may_stay(candidates):
    features, score, copying, reach = candidates
    features[20] = features[5]
    score[5], copying[5] = 10.0, 0.0
    assert 20 in usable(features, score, copying, reach)


@pytest.mark.parametrize("count", [1, 2, 9, 30, 60])
def test_as_many_as_asked_for_are_chosen_each_once_and_in_order_of_their_score(candidates, count):
    chosen = select(*candidates, count)
    assert len(chosen) == len(set(chosen)) == count
    assert (np.diff(candidates[1][chosen]) <= 0).all()


def test_fewer_are_chosen_where_fewer_are_usable(candidates):
    features, score, copying, reach = candidates
    copying[4:] = 0
    assert len(select(features, score, copying, reach, 10)) == 4
    copying[:] = 0
    assert len(select(features, score, copying, reach, 10)) == 0


@pytest.mark.parametrize("count", [1, 5, 20])
def test_the_best_is_chosen_and_nothing_beyond_the_shortlist(candidates, count):
    order = list(ranked(*candidates[:2]))
    chosen = list(select(*candidates, count))
    assert chosen[0] == order[0]
    assert set(chosen) <= set(order[: SHORTLIST * count])


def test_what_is_chosen_differs_more_than_the_best_alone(candidates):
    features, score, *_ = candidates

    def least_distance(rows):
        apart = np.linalg.norm(features[rows][:, None] - features[rows][None], axis=-1)
        return apart[~np.eye(len(rows), dtype=bool)].min()

    assert least_distance(select(*candidates, 10)) > least_distance(ranked(features, score)[:10])


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_candidates_does_not_matter_even_with_equal_scores(candidates, seed):
    features, score, copying, reach = candidates
    score, copying = score.round(1), np.where(np.arange(N) % 7, copying, 0.1)
    shuffled = np.random.default_rng(seed).permutation(N)
    chosen = shuffled[select(*(values[shuffled] for values in (features, score, copying, reach)), 12)]
    assert list(chosen) == list(select(features, score, copying, reach, 12))


def test_one_of_each_cluster_is_taken_before_a_second_of_any():
    rng = np.random.default_rng(1)
    centers = 10 * np.eye(4)
    points = np.concatenate([center + 0.1 * rng.random((5, 4)) for center in centers])
    taken = farthest_first(points, 4)
    assert taken[0] == 0
    assert sorted(row // 5 for row in taken) == [0, 1, 2, 3]


def test_the_least_distance_is_at_least_half_the_greatest_possible():
    """On a line the best of k points in [0, 1] are 1 / (k - 1) apart."""
    points = np.linspace(0, 1, 101)[:, None]
    taken = np.sort(points[farthest_first(points, 6), 0])
    assert np.diff(taken).min() >= 0.5 / 5


def test_equal_points_are_taken_once_each():
    assert sorted(farthest_first(np.zeros((4, 2)), 4)) == [0, 1, 2, 3]
    assert len(farthest_first(np.zeros((4, 2)), 9)) == 4
