"""Candidates for a digit, from a model and a judge that are made up.

An image is flat. Its grey level tells the class (level // 100) and the judge's confidence, and is its first feature;
the second is 0 for training digits, which are seven levels apart, and five for all others.
"""

import numpy as np
import pytest
import torch

from genbalance.data.prepared import Split
from genbalance.errors import UserError
from genbalance.evaluation.judge import Reading
from genbalance.generation.candidates import Critic
from genbalance.generation.supply import BLOCK, CONFIDENCE, LEAST, POOL, Supply


class Levels:
    """A model that draws what it is told to, again and again."""

    latents = 1

    def __init__(self, levels, classes=0):
        self.levels, self.classes, self.drawn = np.array(levels, np.uint8), classes, 0

    def draw(self, count, noise, digit):
        z = (torch.arange(self.drawn, self.drawn + count) % len(self.levels))[:, None]
        self.drawn += count
        return z, torch.full((count,), digit) if self.classes else None

    def images(self, z, told):
        return np.broadcast_to(self.levels[z.numpy()[:, 0]][:, None, None], (len(z), 4, 4))


class Reader:
    """Sure of levels whose last digit is not 0."""

    def read(self, images):
        levels = images[:, 0, 0].astype(int)
        sure = np.where(levels % 10, 0.99, 0.6)
        probabilities = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
        probabilities[np.arange(len(levels)), levels // 100] = sure
        features = np.stack([levels, np.where(levels % 7 == 2, 0, 5)], axis=1)
        return Reading(features.astype(np.float32), probabilities.astype(np.float32))


TRAIN = Split(np.broadcast_to(np.arange(100, 200, 7, dtype=np.uint8)[:, None, None], (15, 4, 4)), np.ones(15, np.int64))
ONES = [level for level in range(101, 200) if level % 7 != 2 and level % 10]  # confident, and no copies


def supply(levels, classes=0, tries=1000, digit=1):
    critic = Critic.of(Reader(), TRAIN, digit)
    return Supply(Levels(levels, classes), "gan", critic, torch.Generator(), tries)


def levels_of(found):
    return found.images[:, 0, 0].astype(int).tolist()


def test_raw_candidates_come_as_they_are_drawn():
    found = supply([7, 105, 110, 250, 107, 100]).raw(5)
    assert levels_of(found) == [105, 110, 107, 100, 105]
    assert found.number.tolist() == [1, 2, 4, 5, 7]
    assert (found.read == 1).all()


def test_of_a_model_of_classes_raw_candidates_are_not_read_at_all():
    found = supply([7, 105, 250], classes=3).raw(4)
    assert levels_of(found) == [7, 105, 250, 7]
    assert found.read.tolist() == [0, 1, 2, 0]
    assert found.told.tolist() == [1] * 4


def test_optimised_candidates_are_confident_no_copies_and_no_duplicates():
    found = supply([7, 250, *range(100, 200)]).optimised(10)
    levels = levels_of(found)
    assert len(set(levels)) == 10
    assert all(level % 10 for level in levels)
    assert (found.confidence >= CONFIDENCE).all()
    assert not set(levels) & set(range(100, 200, 7))
    assert np.diff(sorted(levels)).min() > 0.6 * 7
    assert (np.diff(found.score) <= 0).all()


def test_a_model_of_classes_is_filtered_too():
    assert set(levels_of(supply([7, 250, *ONES], classes=3).optimised(5))) <= set(ONES)


def test_a_candidates_scores_are_those_of_its_image():
    found = supply(range(100, 200)).raw(100)
    (row,) = np.flatnonzero(found.images[:, 0, 0] == 109)
    assert found.nearest[row] == 1  # level 107
    assert found.copying[row] == pytest.approx(np.hypot(2, 5) / 7)
    assert found.reach[row] == pytest.approx(7)
    assert found.score[row] == pytest.approx(found.confidence[row] * found.typicality[row])
    copies = np.isin(found.images[:, 0, 0], range(100, 200, 7))
    assert (found.copying[copies] == 0).all()
    assert np.isfinite(found.score).all()


def test_candidates_are_drawn_until_there_are_enough_to_choose_from():
    made = supply(ONES, tries=10_000)
    made.optimised(10)
    assert made.tally.tried == BLOCK
    assert made.tally.confident >= max(10 * POOL, LEAST)
    rare = supply([*ONES, *[7] * 10 * len(ONES)], tries=10_000)
    rare.optimised(10)
    assert rare.tally.tried > BLOCK
    assert rare.tally.tried % BLOCK == 0


def test_what_is_found_within_the_tries_is_enough_if_it_is_as_much_as_wanted():
    made = supply([*ONES[::2], *[7] * 700], tries=2 * BLOCK)  # nothing in the second block
    assert len(made.optimised(8)) == 8
    assert made.tally.tried == 2 * BLOCK
    assert made.tally.confident < max(8 * POOL, LEAST)


@pytest.mark.parametrize("way", ["optimised", "raw"])
@pytest.mark.parametrize("tries", [1, 130, 251, 1000])
def test_the_bound_on_the_tries_is_told_in_a_line_with_the_digit_and_what_was_found(way, tries):
    made = supply([7, 7, 110], tries=tries)
    with pytest.raises(UserError) as caught:
        getattr(made, way)(500)
    told = str(caught.value)
    read = tries // 3
    assert "\n" not in told
    assert told.startswith(f"digit 1: of {tries:,} candidates of the gan, the classifier read {read:,} as it, ")
    assert "but 500 are needed; allowed: " in told
    assert (made.tally.tried, made.tally.read) == (tries, read)


def test_a_model_that_draws_one_image_or_copies_alone_is_refused_at_the_bound():
    for levels, found in (([ONES[0]], 1), (range(107, 200, 7), 0)):
        with pytest.raises(UserError, match=f"near-copies {found} are left"):
            supply(levels).optimised(2)


def test_a_class_with_too_few_training_digits_is_refused():
    with pytest.raises(UserError, match="digit 2: found 0 training digits of it; allowed: at least 4"):
        supply([7], digit=2)
