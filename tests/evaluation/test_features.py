"""The reference classifier's features, and a network applied block by block."""

import numpy as np
import pytest
import torch
from torch import nn

from genbalance.data.pixels import UNIT, standardized
from genbalance.evaluation import features
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.models.classifier import Classifier
from genbalance.runtime.device import _OnTheFly, initialised

CPU = torch.device("cpu")


@pytest.fixture
def network():
    return initialised(lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 0, "net", torch.device("cpu"))


@pytest.mark.parametrize("count", [1, 3, 7, 9])
def test_blocks_are_one_pass_in_the_same_order(monkeypatch, network, count):
    inputs = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    whole = network(inputs).detach()
    monkeypatch.setattr(features, "BLOCK", 3)
    sizes = []
    blocks = in_blocks(lambda block: sizes.append(len(block)) or network(block), inputs)
    torch.testing.assert_close(blocks, whole)
    assert sizes == [3] * (count // 3) + ([count % 3] if count % 3 else [])
    assert not blocks.requires_grad


def test_the_memory_is_bounded():
    sizes = []
    in_blocks(lambda block: sizes.append(len(block)) or block, torch.zeros(1234, 2))
    assert max(sizes) == features.BLOCK <= 1000
    assert sum(sizes) == 1234


def block_sizes(*inputs, **values):
    sizes = []
    in_blocks(lambda *block: sizes.append(len(block[0])) or block[0], *inputs, **values)
    return sizes


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 32, 32], [1, 64, 64]])
def test_small_images_have_full_blocks(shape):
    assert block_sizes(torch.zeros(1001, *shape)) == [500, 500, 1]
    assert block_sizes(torch.zeros(1001, 2), None, torch.zeros(1001), values=np.prod(shape)) == [500, 500, 1]


def test_large_images_are_fewer_at_a_time_whether_they_are_taken_or_made():
    values = 3 * 128 * 128
    most = features.VALUES // values
    assert block_sizes(torch.zeros(2 * most + 1, 3, 128, 128), torch.zeros(2 * most + 1)) == [most, most, 1]
    assert block_sizes(torch.zeros(2 * most + 1, 2), values=values) == [most, most, 1]
    images = _OnTheFly(np.zeros((most + 1, 128, 128, 3), np.uint8), UNIT, CPU)
    assert block_sizes(images) == [most, 1]


PIXELS = standardized(0.4, 0.3)


@pytest.fixture
def classifier():
    return initialised(lambda: Classifier([1, 8, 8], 4, 4), 0, "net", CPU).eval()


def images(n=11):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def test_a_reading_is_what_the_network_makes_of_the_images_in_its_own_range(classifier, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 4)
    reading = FeatureExtractor(classifier, PIXELS, CPU).read(images())
    x = torch.from_numpy(((images() / 255 - 0.4) / 0.3).astype(np.float32))[:, None]
    with torch.no_grad():
        np.testing.assert_allclose(reading.features, classifier.features(x), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reading.probabilities, classifier(x).softmax(dim=1), rtol=1e-4, atol=1e-5)
    assert reading.features.shape == (11, 128)
    np.testing.assert_allclose(reading.probabilities.sum(axis=1), np.ones(11), rtol=1e-5)


def test_reading_is_repeatable_and_takes_no_gradients(classifier):
    extractor = FeatureExtractor(classifier, PIXELS, CPU)
    one, two = extractor.read(images()), extractor.read(images())
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.probabilities, two.probabilities)
    assert all(p.grad is None for p in classifier.parameters())
