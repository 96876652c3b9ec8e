"""The real images that samples are compared with, as the classifier reads them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genbalance.data import arrays
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.features import Extractor, Features, Images
from genbalance.evaluation.neighbours import nearest
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

FEWEST = 10  # images a side

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Real:
    """``train`` is all of the training split; ``floor`` are n images of it and ``test`` n test images.

    ``test_rows`` says which. ``val`` is the validation split: real images that no model was fitted to. ``ceiling`` is
    the mean training image n times, what a model without any diversity draws. ``class_means`` are the features
    [classes, d] of the mean image of each class, and ``class_names`` what the classes are called; None and none where
    there are no two classes, so that nothing is measured by class. Floor, test and ceiling share n with the samples,
    since a Fréchet distance depends on it.
    """

    train: Features
    floor: Features
    val: Features
    test: Features
    test_rows: Rows
    ceiling: Features
    class_means: NDArray[np.float32] | None
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Prepared, extractor: Extractor, most: int, seed: int) -> "Real":
        """n is ``most``, or fewer where a split has fewer.

        Raises:
            UserError: too few images to measure with.
        """
        n = min(most, len(dataset.train), len(dataset.test))
        if n < FEWEST:
            raise UserError(
                f"{n} images a side (samples, training and test images); "
                f"allowed: at least {FEWEST}, or distances mean nothing"
            )
        rng = np.random.default_rng(stream_seed(seed, "evaluate/real"))
        floor_rows, test_rows = (rng.choice(len(split), n, replace=False) for split in (dataset.train, dataset.test))
        train = extractor.read(dataset.train.images)
        return cls(
            train=train,
            floor=train.rows(floor_rows),
            val=extractor.read(dataset.val.images),
            test=extractor.read(dataset.test.images[test_rows]),
            test_rows=test_rows,
            ceiling=extractor.read(mean_image(dataset.train.images)).rows(np.zeros(n, np.int64)),
            class_means=(
                extractor.read(class_means(dataset.train, dataset.classes)).features if dataset.has_classes else None
            ),
            class_names=tuple(map(dataset.class_name, range(dataset.classes))) if dataset.has_classes else (),
        )

    @cached_property
    def test_to_train(self) -> NDArray[np.float64]:
        """The distance of each test image to its nearest training image [n]."""
        return nearest(self.test.features, self.train.features, 1).distances[:, 0]

    @property
    def has_classes(self) -> bool:
        """Whether anything is measured by class."""
        return self.class_means is not None

    @property
    def n(self) -> int:
        """Images a side."""
        return len(self.test_rows)


def mean_image(images: Images, rows: Rows | None = None) -> Images:
    """The mean of images [n, H, W(, 3)], or of some ``rows`` of them, each at most once, as one image [1, H, W(, 3)];
    the sum, block by block, is exact."""
    total, count = np.zeros(images.shape[1:], np.int64), len(images if rows is None else rows)
    for block in arrays.blocks(images[:count]):
        total += images[block if rows is None else rows[block]].sum(axis=0, dtype=np.int64)
    mean: Images = (total / count).round().astype(np.uint8)
    return mean[None]


def class_means(split: Split, classes: int) -> Images:
    """The mean image of each class [classes, H, W(, 3)]; of all classes where one has no images."""
    of_class = (np.flatnonzero(split.labels == label) for label in range(classes))
    return np.concatenate([mean_image(split.images, rows if len(rows) else None) for rows in of_class])
