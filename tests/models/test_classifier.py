"""The judge's network."""

import pytest
import torch

from genbalance.compute import initialised
from genbalance.models.classifier import FEATURES, Classifier


def classifier(size=8, classes=4, width=4):
    return initialised(lambda: Classifier(size, classes, width), 0, "classifier", torch.device("cpu"))


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("classes", [4, 26])
@pytest.mark.parametrize("size", [8, 17, 20, 28, 32])
def test_images_of_any_size_become_128_features_and_a_logit_a_class(size, classes):
    model = classifier(size, classes).eval()
    images = randn(6, 1, size, size) * 4
    with torch.no_grad():
        features, logits = model.features(images), model(images)
    assert FEATURES == 128
    assert features.shape == (6, 128)
    assert features.min() == 0  # after a ReLU: none below, and some at it
    assert features.max() > 0
    assert logits.shape == (6, classes)
    torch.testing.assert_close(logits, model.head(features))


def test_a_trained_judge_reads_an_image_the_same_alone_and_in_a_batch():
    model, images = classifier(17).eval(), randn(5, 1, 17, 17)
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in images])
        torch.testing.assert_close(model(images), alone, rtol=1e-4, atol=1e-5)


def test_every_weight_takes_part():
    model = classifier(17)
    (model(randn(16, 1, 17, 17)) * randn(16, 4)).sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name
