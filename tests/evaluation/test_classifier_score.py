"""The classifier score: its formula, its ends and its laws."""

import math

import numpy as np
import pytest

from genbalance.evaluation.classifier_score import classifier_score


def probabilities(n=60, classes=5, sharpness=3.0, seed=0):
    logits = np.random.default_rng(seed).standard_normal((n, classes)) * sharpness
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 10, 26])
def test_sure_and_even_readings_score_the_number_of_classes(classes):
    assert classifier_score(np.tile(np.eye(classes), (7, 1))) == pytest.approx(classes)


@pytest.mark.parametrize("row", [[0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [1 / 3] * 3])
def test_equal_readings_score_one(row):
    assert classifier_score(np.tile(row, (50, 1))) == pytest.approx(1)


def test_collapse_to_some_of_the_classes_scores_their_number():
    assert classifier_score(np.tile(np.eye(10)[:3], (20, 1))) == pytest.approx(3)


def test_the_score_is_the_exponential_of_the_mean_divergence_from_the_marginal():
    p = probabilities()
    marginal = [sum(row[k] for row in p) / len(p) for k in range(5)]
    total = sum(row[k] * math.log(row[k] / marginal[k]) for row in p for k in range(5))
    assert classifier_score(p) == pytest.approx(math.exp(total / len(p)), rel=1e-12)


def test_the_score_lies_between_one_and_the_number_of_classes():
    for seed, sharpness in enumerate(np.geomspace(1e-3, 100, 20)):
        score = classifier_score(probabilities(sharpness=sharpness, seed=seed))
        assert 1 - 1e-9 <= score <= 5 + 1e-9


def test_the_score_does_not_depend_on_order_or_on_the_classes_names():
    p = probabilities()
    assert classifier_score(p[::-1, ::-1]) == pytest.approx(classifier_score(p), rel=1e-12)


def test_probabilities_in_single_precision_do_not_need_to_add_up_exactly():
    p = probabilities().astype(np.float32)
    assert classifier_score(p * np.float32(1.00001)) == pytest.approx(classifier_score(p.astype(float)), rel=1e-5)
    before = p.copy()
    classifier_score(p)
    np.testing.assert_array_equal(p, before)


def test_an_impossible_class_is_no_reason_for_nan():
    p = probabilities()
    p[:, 2] = 0
    assert classifier_score(p) == pytest.approx(classifier_score(np.delete(p, 2, axis=1)), rel=1e-12)


def test_a_score_with_counts_is_the_score_of_the_repeated_readings():
    p = probabilities().astype(np.float32)
    counts = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60))
    assert (counts == 0).any()
    assert classifier_score(p, counts) == pytest.approx(classifier_score(np.repeat(p, counts, axis=0)), rel=1e-9)
    assert classifier_score(p, np.ones(60, np.int64)) == pytest.approx(classifier_score(p), rel=1e-12)


def test_readings_that_differ_in_nothing_score_one_and_not_a_hair_less():
    """Although the entropies of the readings and of their mean differ by rounding."""
    for row in probabilities(40, 7):
        assert 1 <= classifier_score(np.tile(row, (13, 1))) == pytest.approx(1)
