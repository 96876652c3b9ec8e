"""The classifier as the evaluation sees it."""

import numpy as np
import pytest
import torch

from genbalance.compute import initialised
from genbalance.data.pixels import standardized
from genbalance.evaluation import features
from genbalance.evaluation.judge import Judge
from genbalance.models.classifier import Classifier

CPU = torch.device("cpu")
PIXELS = standardized(0.4, 0.3)


@pytest.fixture
def network():
    return initialised(lambda: Classifier(8, 4, 4), 0, "net", CPU).eval()


def images(n=11):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def test_a_reading_is_what_the_network_makes_of_the_images_in_its_own_range(network, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 4)
    reading = Judge(network, PIXELS, CPU).read(images())
    x = torch.from_numpy(((images() / 255 - 0.4) / 0.3).astype(np.float32))[:, None]
    with torch.no_grad():
        np.testing.assert_allclose(reading.features, network.features(x), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reading.probabilities, network(x).softmax(dim=1), rtol=1e-4, atol=1e-5)
    assert reading.features.shape == (11, 128)
    np.testing.assert_allclose(reading.probabilities.sum(axis=1), np.ones(11), rtol=1e-5)


def test_reading_is_repeatable_and_takes_no_gradients(network):
    judge = Judge(network, PIXELS, CPU)
    one, two = judge.read(images()), judge.read(images())
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.probabilities, two.probabilities)
    assert all(p.grad is None for p in network.parameters())
