"""A tiny data set, an untrained classifier of it, and as little measuring as params.yaml allows."""

import numpy as np
import pytest
import torch

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.features import FeatureExtractor
from genbalance.models.classifier import Classifier
from genbalance.params import EvaluateConfig
from genbalance.runtime.device import initialised

SIDE, CLASSES = 8, 3


def stripes(n, seed):
    """Class k is bright in its third of the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    images = rng.integers(0, 120, (n, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        image[label * SIDE // CLASSES : (label + 1) * SIDE // CLASSES] += rng.integers(60, 130)
    return Split(images.astype(np.uint8), labels)


@pytest.fixture(scope="session")
def striped():
    """90 training, 12 validation and 40 test images."""
    return Prepared(stripes(90, 0), stripes(12, 1), stripes(40, 2), "made", "Stripes", CLASSES, 0.3, 0.25)


@pytest.fixture(scope="session")
def striped_extractor():
    """An untrained classifier."""
    network = initialised(lambda: Classifier([1, SIDE, SIDE], CLASSES, 4), 0, "classifier", torch.device("cpu")).eval()
    return FeatureExtractor(network, standardized(0.3, 0.25), torch.device("cpu"))


@pytest.fixture(scope="session")
def cheap():
    """The config of the evaluation."""
    return EvaluateConfig(
        samples=100,
        kid_subsets=3,
        kid_subset_size=10,
        neighbours=3,
        resamples=10,
        importance_draws=3,
        inversion_images=5,
        inversion_steps=3,
    )


@pytest.fixture(scope="session", params=[0, 1], ids=["no labels", "one class"])
def unlabelled(request):
    """Images in colour without two classes."""
    rng = np.random.default_rng(4)

    def split(n):
        return Split(rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8), np.zeros(n, np.int64))

    return Prepared(split(90), split(12), split(40), "made", "Noise", request.param, 0.5, 0.3)


@pytest.fixture(scope="session")
def rotations_extractor():
    """An untrained classifier of the rotations of these."""
    arguments = {"shape": [3, SIDE, SIDE], "classes": 4, "width": 4, "rotations": True}
    network = initialised(lambda: Classifier(**arguments), 0, "classifier", torch.device("cpu")).eval()
    return FeatureExtractor(network, standardized(0.5, 0.3), torch.device("cpu"))
