"""The suite for samples of any model, on what the classifier makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genbalance.data.prepared import Prepared
from genbalance.errors import UserError
from genbalance.evaluation.classes import class_shares, classifier_score
from genbalance.evaluation.distances import frechet_distance, kernel_distance
from genbalance.evaluation.judge import Images, Judge, Reading
from genbalance.params import Evaluate
from genbalance.rng import stream_seed

FEWEST = 10  # images a side


def mean_image(images: Images) -> Images:
    """The mean of n images, n times [n, S, S]: what a model without any diversity draws, and the ceiling's images."""
    mean = images.mean(axis=0, dtype=np.float64).round().astype(np.uint8)
    return np.repeat(mean[None], len(images), axis=0)


@dataclass(frozen=True)
class Bench:
    """What samples are held against: readings of n real test images, of n real training images (the floor) and of the
    mean training image n times (the ceiling). They and the samples share n, since a Fréchet distance depends on it.
    """

    n: int
    test: Reading
    floor: Reading
    ceiling: Reading
    kid_subsets: int
    kid_subset_size: int
    kid_seed: int

    @classmethod
    def of(cls, digits: Prepared, judge: Judge, knobs: Evaluate, seed: int) -> "Bench":
        """n is ``evaluate.samples``, or fewer where a split has fewer.

        Raises:
            UserError: too few images to measure with.
        """
        n = min(knobs.samples, len(digits.train), len(digits.test))
        if n < FEWEST:
            raise UserError(f"data: {n} test images; allowed: at least {FEWEST}, or distances mean nothing")
        rng = np.random.default_rng(stream_seed(seed, "evaluate/real"))
        train, test = (split.images[rng.choice(len(split), n, replace=False)] for split in (digits.train, digits.test))
        return cls(
            n=n,
            test=judge.read(test),
            floor=judge.read(train),
            ceiling=judge.read(mean_image(train)),
            kid_subsets=knobs.kid_subsets,
            kid_subset_size=knobs.kid_subset_size,
            kid_seed=stream_seed(seed, "evaluate/kid"),
        )

    def measure(self, generated: Reading) -> dict[str, Any]:
        """Every metric of ``generated`` against the test images, beside its floor and its ceiling."""
        fd, kid = self._distances(generated)
        fd_floor, kid_floor = self._distances(self.floor)
        fd_ceiling, kid_ceiling = self._distances(self.ceiling)
        shares = class_shares(generated.probabilities)
        return {
            "n": self.n,
            "fd_test": fd,
            "fd_floor": fd_floor,
            "fd_ceiling": fd_ceiling,
            "kid_test": kid[0],
            "kid_std": kid[1],
            "kid_floor": kid_floor[0],
            "kid_ceiling": kid_ceiling[0],
            "classifier_score": classifier_score(generated.probabilities),
            "classifier_score_real": classifier_score(self.test.probabilities),
            "class_share_min": float(shares.min()),
            "class_share_max": float(shares.max()),
            "class_histogram": {str(label): float(share) for label, share in enumerate(shares)},
        }

    def class_table(self, generated: Reading) -> pd.DataFrame:
        """The share of each ``class`` among the ``generated`` and the ``real`` test images, as the judge reads them."""
        shares = {name: class_shares(x.probabilities) for name, x in (("generated", generated), ("real", self.test))}
        return pd.DataFrame({"class": range(len(shares["real"])), **shares})

    def _distances(self, reading: Reading) -> tuple[float, tuple[float, float]]:
        rng = np.random.default_rng(self.kid_seed)  # the same subsets each time: only the images differ
        a, b = reading.features, self.test.features
        return frechet_distance(a, b), kernel_distance(a, b, self.kid_subsets, self.kid_subset_size, rng)
