"""The real images that samples are compared with, as the classifier reads them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.features import FeatureExtractor, Features, Images
from genbalance.evaluation.neighbours import nearest
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

FEWEST = 10  # images a side

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Real:
    """``train`` is all of the training split; ``floor`` are n images of it and ``test`` n test images.

    ``test_rows`` says which. ``val`` is the validation split: real images that no model was fitted to. ``ceiling`` is
    the mean training image n times, what a model without any diversity draws, and ``class_means`` are the features
    [classes, d] of the mean image of each class. Floor, test and ceiling share n with the samples, since a Fréchet
    distance depends on it.
    """

    train: Features
    floor: Features
    val: Features
    test: Features
    test_rows: Rows
    ceiling: Features
    class_means: NDArray[np.float32]

    @classmethod
    def of(cls, digits: Prepared, extractor: FeatureExtractor, most: int, seed: int) -> "Real":
        """n is ``most``, or fewer where a split has fewer.

        Raises:
            UserError: too few images to measure with.
        """
        n = min(most, len(digits.train), len(digits.test))
        if n < FEWEST:
            raise UserError(
                f"{n} images a side (samples, training and test digits); "
                f"allowed: at least {FEWEST}, or distances mean nothing"
            )
        rng = np.random.default_rng(stream_seed(seed, "evaluate/real"))
        floor_rows, test_rows = (rng.choice(len(split), n, replace=False) for split in (digits.train, digits.test))
        train = extractor.read(digits.train.images)
        return cls(
            train=train,
            floor=train.rows(floor_rows),
            val=extractor.read(digits.val.images),
            test=extractor.read(digits.test.images[test_rows]),
            test_rows=test_rows,
            ceiling=extractor.read(mean_image(digits.train.images)).rows(np.zeros(n, np.int64)),
            class_means=extractor.read(class_means(digits.train, digits.classes)).features,
        )

    @cached_property
    def test_to_train(self) -> NDArray[np.float64]:
        """The distance of each test image to its nearest training image [n]."""
        return nearest(self.test.features, self.train.features, 1).distances[:, 0]

    @property
    def n(self) -> int:
        """Images a side."""
        return len(self.test_rows)


def mean_image(images: Images) -> Images:
    """The mean of images [n, S, S] as one image [1, S, S]."""
    mean: Images = images.mean(axis=0, dtype=np.float64).round().astype(np.uint8)
    return mean[None]


def class_means(split: Split, classes: int) -> Images:
    """The mean image of each class [classes, S, S]; of all classes where one has no images."""
    of_class = (split.images[split.labels == label] for label in range(classes))
    return np.concatenate([mean_image(images if len(images) else split.images) for images in of_class])
