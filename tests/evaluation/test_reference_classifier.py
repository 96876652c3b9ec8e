"""Whether a reference classifier belongs to the images that are measured with it."""

import numpy as np
import pytest
import torch

from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.reference_classifier import load_extractor
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.runtime.device import initialised
from genbalance.runtime.errors import UserError

CPU = torch.device("cpu")


def images(classes, sides=(8, 8), colour=True):
    shape = (12, *sides, *((3,) if colour else ()))
    split = Split(np.zeros(shape, np.uint8), np.arange(12) % max(1, classes))
    return Prepared(split, split, split, "made", "Made", classes, 0.4, 0.3)


def saved(path, **config):
    given = {"shape": [3, 8, 8], "width": 4} | config
    weights.save(path, given, initialised(lambda: Classifier(**given), 0, "judge", CPU).state_dict())
    return path


@pytest.mark.parametrize("classes", [0, 1])
@pytest.mark.parametrize(("sides", "outputs"), [((8, 8), 4), ((8, 12), 2)])
def test_images_without_two_classes_have_a_classifier_of_their_rotations(tmp_path, classes, sides, outputs):
    file = saved(tmp_path / "c.safetensors", shape=[3, *sides], classes=outputs, rotations=True)
    digits = images(classes, sides)
    assert load_extractor(file, tmp_path, digits, CPU).read(digits.test.images).probabilities.shape == (12, outputs)


@pytest.mark.parametrize(
    ("config", "digits", "found"),
    [
        ({"classes": 4}, images(0), "4 classes of 8 × 8 colour pixels, but .* has 4 rotations of 8 × 8 colour pixels"),
        ({"classes": 4, "rotations": True}, images(4), "4 rotations of .* has 4 classes of"),
        ({"classes": 3}, images(4), "3 classes of .* has 4 classes of"),
        ({"classes": 4, "rotations": True}, images(1, (8, 12)), "4 rotations of 8 × 8 .* has 2 rotations of 8 × 12"),
        ({"classes": 3}, images(3, colour=False), "colour pixels, but .* grey pixels"),
    ],
)
def test_one_of_another_task_is_refused_in_a_line_that_names_both(tmp_path, config, digits, found):
    file = saved(tmp_path / "c.safetensors", **config)
    with pytest.raises(UserError, match=f"was trained on .*{found}.*; allowed: the classifier of these images$"):
        load_extractor(file, tmp_path, digits, CPU)
