"""What is chosen of many candidates for a digit: scores, near-copies, diversity.

Candidates come from a model and a classifier that are made up. An image is flat. Its grey level determines the class
(level // 100) and the classifier's confidence, and is its first feature; the second is 0 for training images, which are
seven levels apart, and five for all others.
"""

import numpy as np
import pytest
import torch

from genbalance.data.prepared import Split
from genbalance.evaluation.features import Features
from genbalance.runtime.errors import UserError
from genbalance.sampling.rejection import CONFIDENCE, RejectionSampler
from genbalance.sampling.selection import (
    BLOCK,
    LARGEST,
    LEAST,
    NEAR,
    POOL,
    SHORTLIST,
    K,
    Realism,
    Scorer,
    Selection,
    farthest_first,
    ranked,
    select,
    usable,
)

N = 60


@pytest.fixture
def candidates():
    """features, score, copying, reach: nobody near a training image or another one."""
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


@pytest.fixture
def real():
    return np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)


def test_realism_is_equation_3_of_the_paper(real):
    drawn = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
    apart = np.linalg.norm(real[:, None].astype(float) - real[None], axis=-1)
    radii = np.sort(apart, axis=1)[:, K]
    small = radii <= np.median(radii)
    expected = (radii[small] / np.linalg.norm(drawn[:, None].astype(float) - real[small][None], axis=-1)).max(axis=1)
    np.testing.assert_allclose(Realism.of(real).score(drawn), expected, rtol=1e-9)


def test_realism_inside_a_ball_is_above_one_and_falls_with_the_distance(real):
    ball = Realism.of(real)
    direction = np.zeros((1, 6), np.float32)
    direction[0, 0] = 1
    at = [float(ball.score(ball.centers[:1] + step * ball.radii[0] * direction)[0]) for step in (0.1, 0.5)]
    far = [float(ball.score(real.mean(axis=0) + step * direction)[0]) for step in (10, 100, 1000)]
    assert at[0] > at[1] > 1
    assert 1 > far[0] > far[1] > far[2] > 0


def test_a_copy_has_a_finite_score_and_the_largest(real):
    ball = Realism.of(real)
    assert (ball.score(ball.centers) == LARGEST).all()
    assert (Realism.of(np.repeat(real[:1], 9, axis=0)).score(real[:1]) == LARGEST).all()


def test_lonely_real_images_make_nothing_realistic(real):
    lonely = np.concatenate([real, np.full((1, 6), 50, np.float32)])
    assert Realism.of(lonely).score(np.full((1, 6), 49, np.float32))[0] < 0.1


def test_realism_does_not_depend_on_units(real):
    drawn = real[:9] + np.float32(0.3)
    np.testing.assert_allclose(Realism.of(real).score(drawn), Realism.of(4 * real).score(4 * drawn), rtol=1e-6)


def test_fewer_than_four_real_images_are_refused(real):
    assert Realism.of(real[:4]).score(real[5:7]).shape == (2,)
    with pytest.raises(UserError):
        Realism.of(real[:3])


class Levels:
    """A model that draws these levels, again and again."""

    latent_dim = 1

    def __init__(self, levels, classes=0):
        self.levels, self.classes, self.drawn = np.array(levels, np.uint8), classes, 0

    def draw(self, count, noise, digit):
        z = (torch.arange(self.drawn, self.drawn + count) % len(self.levels))[:, None]
        self.drawn += count
        return z, torch.full((count,), digit) if self.classes else None

    def images(self, z, condition):
        return np.broadcast_to(self.levels[z.numpy()[:, 0]][:, None, None], (len(z), 4, 4))


class Reader:
    """Sure of levels whose last digit is not 0."""

    def read(self, images):
        levels = images[:, 0, 0].astype(int)
        sure = np.where(levels % 10, 0.99, 0.6)
        probabilities = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
        probabilities[np.arange(len(levels)), levels // 100] = sure
        features = np.stack([levels, np.where(levels % 7 == 2, 0, 5)], axis=1)
        return Features(features.astype(np.float32), probabilities.astype(np.float32))


TRAIN = Split(np.broadcast_to(np.arange(100, 200, 7, dtype=np.uint8)[:, None, None], (15, 4, 4)), np.ones(15, np.int64))
ONES = [level for level in range(101, 200) if level % 7 != 2 and level % 10]  # confident, and no copies


def selection(levels, classes=0, tries=1000, digit=1):
    scorer = Scorer.of(Reader(), TRAIN, digit)
    rejection = RejectionSampler(Levels(levels, classes), Reader(), digit, torch.Generator(), BLOCK, tries)
    return Selection(rejection, scorer, "gan")


def levels_of(found):
    return found.images[:, 0, 0].astype(int).tolist()


def test_raw_candidates_come_as_they_are_drawn():
    found = selection([7, 105, 110, 250, 107, 100]).raw(5)
    assert levels_of(found) == [105, 110, 107, 100, 105]
    assert found.number.tolist() == [1, 2, 4, 5, 7]
    assert (found.read == 1).all()


def test_of_a_model_of_classes_raw_candidates_are_not_read_at_all():
    found = selection([7, 105, 250], classes=3).raw(4)
    assert levels_of(found) == [7, 105, 250, 7]
    assert found.read.tolist() == [0, 1, 2, 0]
    assert found.condition.tolist() == [1] * 4


def test_the_best_candidates_are_confident_no_copies_and_no_duplicates():
    found = selection([7, 250, *range(100, 200)]).best(10)
    levels = levels_of(found)
    assert len(set(levels)) == 10
    assert all(level % 10 for level in levels)
    assert (found.confidence >= CONFIDENCE).all()
    assert not set(levels) & set(range(100, 200, 7))
    assert np.diff(sorted(levels)).min() > 0.6 * 7
    assert (np.diff(found.score) <= 0).all()


def test_a_model_of_classes_is_filtered_too():
    assert set(levels_of(selection([7, 250, *ONES], classes=3).best(5))) <= set(ONES)


def test_a_candidates_scores_are_those_of_its_image():
    found = selection(range(100, 200)).raw(100)
    (row,) = np.flatnonzero(found.images[:, 0, 0] == 109)
    assert found.nearest[row] == 1  # level 107
    assert found.copying[row] == pytest.approx(np.hypot(2, 5) / 7)
    assert found.reach[row] == pytest.approx(7)
    assert found.score[row] == pytest.approx(found.confidence[row] * found.typicality[row])
    copies = np.isin(found.images[:, 0, 0], range(100, 200, 7))
    assert (found.copying[copies] == 0).all()
    assert np.isfinite(found.score).all()


def test_candidates_are_drawn_until_there_are_enough_to_choose_from():
    made = selection(ONES, tries=10_000)
    made.best(10)
    assert made.rejection.counts.tried == BLOCK
    assert made.rejection.counts.confident >= max(10 * POOL, LEAST)
    rare = selection([*ONES, *[7] * 10 * len(ONES)], tries=10_000)
    rare.best(10)
    assert rare.rejection.counts.tried > BLOCK
    assert rare.rejection.counts.tried % BLOCK == 0


def test_what_is_found_within_the_tries_is_enough_if_it_is_as_much_as_wanted():
    made = selection([*ONES[::2], *[7] * 700], tries=2 * BLOCK)  # nothing in the second block
    assert len(made.best(8)) == 8
    assert made.rejection.counts.tried == 2 * BLOCK
    assert made.rejection.counts.confident < max(8 * POOL, LEAST)


@pytest.mark.parametrize("method", ["best", "raw"])
@pytest.mark.parametrize("tries", [1, 130, 251, 1000])
def test_the_bound_on_the_tries_is_reported_in_a_line_with_the_digit_and_what_was_found(method, tries):
    made = selection([7, 7, 110], tries=tries)
    with pytest.raises(UserError) as caught:
        getattr(made, method)(500)
    message = str(caught.value)
    read = tries // 3
    assert "\n" not in message
    assert message.startswith(f"digit 1: of {tries:,} candidates of the gan, the classifier read {read:,} as it, ")
    assert "but 500 are needed; allowed: " in message
    assert (made.rejection.counts.tried, made.rejection.counts.read) == (tries, read)


def test_a_model_that_draws_one_image_or_copies_alone_is_refused_at_the_bound():
    for levels, found in (([ONES[0]], 1), (range(107, 200, 7), 0)):
        with pytest.raises(UserError, match=f"near-copies {found} are left"):
            selection(levels).best(2)


def test_a_class_with_too_few_training_digits_is_refused():
    with pytest.raises(UserError, match="digit 2: found 0 training images; allowed: at least 4"):
        selection([7], digit=2)
    with pytest.raises(UserError, match="digit owl: found 0 training images; allowed: at least 4"):
        Scorer.of(Reader(), TRAIN, 2, "owl")
    few = Split(TRAIN.images[:3], TRAIN.labels[:3])
    with pytest.raises(UserError, match="images: found 3 training images; allowed: at least 4"):
        Scorer.of(Reader(), few, None)


@pytest.mark.parametrize(("classes", "digit"), [(0, None), (3, 1)])
def test_where_all_candidates_are_taken_a_lack_of_tries_says_nothing_of_what_was_read(classes, digit):
    made = selection([105], classes=classes, tries=20, digit=digit)
    assert len(made.raw(20)) == 20
    with pytest.raises(UserError) as caught:
        selection([105], classes=classes, tries=20, digit=digit).raw(21)
    assert str(caught.value) == (
        "20 candidates of the gan are drawn at most, but 21 are needed; allowed: a smaller count or more --tries"
    )
