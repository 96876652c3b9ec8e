"""Accuracy and calibration of logits made by hand."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from genbalance.evaluation.calibration import calibration_error, reading_quality


def logits_of(confidence, predicted, classes=4):
    """Logits whose softmax gives ``confidence`` to the predicted class and the rest in equal parts to the others."""
    p = torch.full((len(predicted), classes), (1 - confidence) / (classes - 1), dtype=torch.float64)
    p[torch.arange(len(predicted)), torch.tensor(predicted)] = confidence
    return p.log() + 5.0  # a constant that softmax takes away


def labels(right, wrong):
    """Predicted class 0 throughout; so many labels say 0 and so many 1."""
    return [0] * (right + wrong), np.array([0] * right + [1] * wrong)


@pytest.mark.parametrize(("right", "wrong", "confidence"), [(80, 20, 0.8), (50, 50, 0.5), (95, 5, 0.95)])
def test_a_classifier_that_is_right_as_often_as_it_says_has_no_calibration_error(right, wrong, confidence):
    predicted, actual = labels(right, wrong)
    assert reading_quality(logits_of(confidence, predicted), actual)[0]["ece"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("right", "wrong", "confidence"), [(60, 40, 0.9), (50, 50, 0.99), (90, 10, 0.7)])
def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy(right, wrong, confidence):
    predicted, actual = labels(right, wrong)
    quality, _ = reading_quality(logits_of(confidence, predicted), actual)
    assert quality["ece"] == pytest.approx(abs(confidence - right / (right + wrong)), abs=1e-6)


def test_the_gaps_of_several_bins_are_weighted_by_their_images():
    """A surplus in one bin does not make good for a lack in another."""
    first, second = labels(30, 10), labels(10, 10)
    logits = torch.cat([logits_of(0.55, first[0]), logits_of(0.9, second[0])])
    quality, _ = reading_quality(logits, np.concatenate([first[1], second[1]]))
    assert quality["ece"] == pytest.approx(40 / 60 * 0.2 + 20 / 60 * 0.4, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 3.0, 1000.0])  # up to a confidence of exactly 1
def test_the_calibration_error_is_what_torchmetrics_makes_of_the_same_logits(scale):
    chance = torch.Generator().manual_seed(0)
    logits, target = scale * torch.randn(500, 10, generator=chance), torch.randint(10, (500,), generator=chance)
    theirs = multiclass_calibration_error(logits.softmax(dim=1), target, num_classes=10, n_bins=15, norm="l1")
    assert calibration_error(logits, target) == pytest.approx(float(theirs), abs=1e-6)


def test_accuracy_in_all_and_per_class():
    actual = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    read = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    quality, predicted = reading_quality(logits_of(0.9, read, classes=3), actual)
    assert quality["test_accuracy"] == pytest.approx(0.8)
    assert quality["per_class_accuracy"] == {"0": 0.75, "1": 0.5, "2": 1.0}
    assert predicted.tolist() == read


def test_a_class_without_images_is_left_out_of_the_accuracies():
    quality, _ = reading_quality(logits_of(0.9, [0, 1], classes=3), np.array([0, 1]))
    assert quality["per_class_accuracy"] == {"0": 1.0, "1": 1.0}


def test_the_negative_log_likelihood_is_that_of_the_labels_in_nats():
    predicted, actual = labels(1, 1)
    quality, _ = reading_quality(logits_of(0.7, predicted), actual)
    assert quality["test_nll"] == pytest.approx(-(math.log(0.7) + math.log(0.1)) / 2, rel=1e-6)


def test_uniform_logits_of_k_classes_cost_log_k():
    quality, _ = reading_quality(torch.zeros(30, 26), np.arange(30) % 26)
    assert quality["test_nll"] == pytest.approx(math.log(26), rel=1e-6)
    assert len(quality["per_class_accuracy"]) == 26
