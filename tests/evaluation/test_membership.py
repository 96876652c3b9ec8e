"""Membership inference."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from genbalance.data.prepared import Split
from genbalance.evaluation.bootstrap import Bootstrap
from genbalance.evaluation.membership import attack, candidates, nearness

DRAW = Bootstrap(200, 1)
SIDE = 8


def scores(n, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def images(n, seed):
    """Blobs at random places: no two alike, and all of one distribution."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    centres, widths = rng.uniform(1, SIDE - 2, (2, n, 1, 1)), rng.uniform(1, 3, (n, 1, 1))
    blobs = np.exp(-((y - centres[0]) ** 2 + (x - centres[1]) ** 2) / widths)
    return np.clip(255 * blobs + rng.normal(0, 8, blobs.shape), 0, 255).astype(np.uint8)


def noisy(of, n, seed, deviation=8):
    rng = np.random.default_rng(seed)
    copies = of[rng.integers(len(of), size=n)] + rng.normal(0, deviation, (n, *of.shape[1:]))
    return np.clip(copies, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_the_auc_and_the_rate_are_those_of_a_reference_library(digits):
    members, others = scores(300, 1, 0.5).round(digits), scores(200, 2).round(digits)
    truth, both = np.repeat([1, 0], [300, 200]), np.concatenate([members, others])
    found = attack(members, others, DRAW)
    assert found.auc == pytest.approx(roc_auc_score(truth, both), abs=1e-12)
    false, true, _ = roc_curve(truth, both, drop_intermediate=False)
    assert found.tpr == true[false <= 0.01].max()


def test_the_attack_on_swapped_sides_is_the_opposite():
    members, others = scores(150, 1, 0.3).round(1), scores(90, 2).round(1)
    one, other = attack(members, others, DRAW), attack(others, members, DRAW)
    assert one.auc == pytest.approx(1 - other.auc, abs=1e-12)
    assert attack(-members, -others, DRAW).auc == pytest.approx(other.auc, abs=1e-12)


def test_scores_that_tell_nothing_give_a_half_and_those_that_tell_all_give_one():
    blind = attack(np.zeros(50), np.zeros(70), DRAW)
    assert (blind.auc, blind.tpr, blind.ci95["auc"]) == (0.5, 0, {"low": 0.5, "high": 0.5})
    perfect = attack(np.ones(50), np.zeros(70), DRAW)
    assert (perfect.auc, perfect.tpr) == (1, 1)
    assert perfect.ci95 == {key: {"low": 1, "high": 1} for key in ("auc", "tpr")}


def test_one_in_a_hundred_others_may_be_taken_for_a_member():
    others = np.arange(100.0)
    assert attack(np.full(20, 98.5), others, DRAW).tpr == 1  # one other is above
    assert attack(np.full(20, 97.5), others, DRAW).tpr == 0  # two are


@pytest.mark.parametrize("shift", [0.0, 0.4, 2.0])
def test_95_in_100_intervals_hold_the_auc_of_the_distributions(shift):
    from scipy.stats import norm

    truth = norm.cdf(shift / np.sqrt(2))
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ends = attack(rng.normal(shift, 1, 150), rng.normal(0, 1, 150), Bootstrap(100, seed)).ci95["auc"]
        held += ends["low"] <= truth <= ends["high"]
    assert 88 <= held <= 99


def test_a_model_that_memorised_100_images_is_found_out():
    members, others = images(100, 1), images(100, 2)
    found = attack(*nearness(members, others, noisy(members, 1000, 3)), DRAW)
    assert found.ci95["auc"]["low"] > 0.9
    assert found.tpr > 0.9


def test_a_model_that_saw_neither_side_gives_a_half():
    for seed in range(3):
        found = attack(*nearness(images(400, seed), images(400, seed + 10), images(400, seed + 20)), DRAW)
        assert found.ci95["auc"]["low"] <= 0.5 <= found.ci95["auc"]["high"]
        assert found.tpr < 0.05


def test_samples_that_are_the_members_to_the_byte_are_the_easiest_to_tell():
    members, others = images(60, 1), images(60, 2)
    assert attack(*nearness(members, others, members), DRAW).auc > 0.99
    assert attack(*nearness(members, others, others), DRAW).auc < 0.01


def test_the_ball_around_an_image_is_as_wide_as_the_median_way_to_a_sample():
    """Without more pixels than components the distances are those of the pixels."""
    rng = np.random.default_rng(0)
    members, others, samples = (rng.integers(0, 256, (n, 3, 4), dtype=np.uint8) for n in (20, 20, 50))
    rows = [x.reshape(len(x), -1).astype(float) for x in (members, others, samples)]
    distances = np.linalg.norm(np.concatenate(rows[:2])[:, None] - rows[2], axis=2)
    inside = (distances <= np.median(distances.min(axis=1))).mean(axis=1)
    np.testing.assert_allclose(np.concatenate(nearness(members, others, samples)), inside, atol=1e-12)


def test_colour_images_and_a_single_repeated_sample_are_measured_too():
    rng = np.random.default_rng(0)
    members, others = (rng.integers(0, 256, (30, 5, 7, 3), dtype=np.uint8) for _ in range(2))
    found = nearness(members, others, np.repeat(members[:1], 10, axis=0))
    assert all(np.isfinite(side).all() for side in found)


def split(*counts):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return Split(np.zeros((len(labels), 2, 2), np.uint8), labels)


def test_candidates_have_the_same_classes_on_both_sides_and_come_first_in_their_split():
    train, test = split(4, 50, 90, 0), split(20, 30, 30, 8)
    members, others = candidates(train, test, 1000)
    for rows, of in ((members, train), (others, test)):
        assert np.bincount(of.labels[rows]).tolist() == [4, 30, 30]
        for label in range(3):
            np.testing.assert_array_equal(np.sort(rows[of.labels[rows] == label]),
                                          np.flatnonzero(of.labels == label)[: (4, 30, 30)[label]])  # fmt: skip
    some, beside = candidates(train, test, 16)
    assert np.bincount(train.labels[some]).tolist() == np.bincount(test.labels[beside]).tolist() == [1, 8, 7]
    assert {*some} <= {*members}


def test_candidates_without_classes_are_the_first():
    members, others = candidates(split(9), split(7), 5)
    assert members.tolist() == others.tolist() == [0, 1, 2, 3, 4]
