"""The suite for samples of any model, on what the classifier makes of them, beside what real images get."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from genbalance.data.prepared import Prepared
from genbalance.errors import UserError
from genbalance.evaluation.against import Against, hold_against
from genbalance.evaluation.classes import class_shares, classifier_score, total_variation
from genbalance.evaluation.confidence import Bootstrap, normal
from genbalance.evaluation.copies import Copies, look_for_copies
from genbalance.evaluation.distances import frechet, frechet_distance, kernel_distance, moments
from genbalance.evaluation.diversity import vendi_score
from genbalance.evaluation.fairness import balance, class_table
from genbalance.evaluation.judge import Judge, Reading
from genbalance.evaluation.neighbours import mean_distance
from genbalance.evaluation.real import Real
from genbalance.params import Evaluate
from genbalance.rng import stream_seed

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """``metrics`` by name, their intervals in ``ci95``, a table of ``classes``, and the ``copies`` that were found."""

    metrics: Metrics
    classes: pd.DataFrame
    copies: Copies


@dataclass(frozen=True)
class Bench:
    """What samples are held against, and how."""

    real: Real
    knobs: Evaluate
    seed: int

    @classmethod
    def of(cls, digits: Prepared, judge: Judge, knobs: Evaluate, seed: int, most: int | None = None) -> "Bench":
        """n is ``evaluate.samples``, or fewer where a split (or ``most``, the samples at hand) has fewer.

        Raises:
            UserError: too few images to measure with.
        """
        n = knobs.samples if most is None else min(knobs.samples, most)
        return cls(Real.of(digits, judge, n, seed), knobs, seed)

    @property
    def n(self) -> int:
        """Images a side."""
        return self.real.n

    @property
    def bootstrap(self) -> Bootstrap:
        """Behind every interval."""
        return Bootstrap(self.knobs.resamples, stream_seed(self.seed, "evaluate/bootstrap"))

    def measure(self, generated: Reading) -> Measured:
        """Every metric of n ``generated`` images against n test images, beside its value for real ones.

        Raises:
            UserError: the classifier's features of a sample are NaN or infinite.
        """
        if len(generated.features) != self.n:
            raise ValueError(f"{len(generated.features)} samples for a bench of {self.n}")
        if not np.isfinite(generated.features).all():
            raise UserError("the classifier's features of the samples: found NaN or infinity; allowed: finite numbers")
        held = self._hold(generated)
        table = class_table(generated, self.real)
        copies = look_for_copies(generated, self.real)
        metrics = {
            "n": self.n,
            **self._metrics(generated, held),
            **balance(table, generated, self.real),
            **copies.metrics,
            "class_histogram": {str(label): float(share) for label, share in enumerate(table["generated"])},
            "ci95": self._intervals(generated, held) | copies.intervals(self.bootstrap),
        }
        return Measured(metrics, table, copies)

    @cached_property
    def _reference(self) -> Metrics:
        """What does not depend on the samples: floor, ceiling, and what real images get."""
        floor, test, ceiling = self._hold(self.real.floor), self.real.test, self.real.ceiling
        rng = np.random.default_rng(stream_seed(self.seed, "evaluate/kid"))
        kid = kernel_distance(ceiling.features, test.features, self.knobs.kid_subsets, self.knobs.kid_subset_size, rng)
        return {
            "fd_floor": floor.fd,
            "fd_ceiling": frechet_distance(ceiling.features, test.features),
            "fd_infinity_floor": floor.fd_infinity,
            "kid_floor": floor.kid.mean,
            "kid_ceiling": kid.mean,
            "classifier_score_real": classifier_score(test.probabilities),
            **{f"{name}_real": value for name, value in floor.shares.items()},
            "vendi_real": vendi_score(test.features),
            "pairwise_distance_real": mean_distance(test.features),
            "class_distance_real": self._class_distance(self.real.floor),
            **{f"{name}_real": value for name, value in look_for_copies(self.real.val, self.real).metrics.items()},
        }

    def _hold(self, reading: Reading) -> Against:
        return hold_against(reading.features, self.real.test.features, self.knobs, self.seed)

    def _class_distance(self, reading: Reading) -> float:
        return total_variation(*(class_shares(x.probabilities) for x in (reading, self.real.test)))

    def _metrics(self, generated: Reading, held: Against) -> Metrics:
        own = {
            "fd_test": held.fd,
            "fd_infinity": held.fd_infinity,
            "kid_test": held.kid.mean,
            "kid_std": held.kid.std,
            "classifier_score": classifier_score(generated.probabilities),
            **held.shares,
            "vendi": vendi_score(generated.features),
            "pairwise_distance": mean_distance(generated.features),
            "class_distance": self._class_distance(generated),
        }
        return own | self._reference

    def _intervals(self, generated: Reading, held: Against) -> dict[str, dict[str, float]]:
        test, draw, sizes = self.real.test, self.bootstrap, (self.n, self.n)
        score = classifier_score(generated.probabilities)
        return {
            "fd_test": draw.statistic(
                held.fd, sizes, lambda a, b: frechet(moments(generated.features, a), moments(test.features, b))
            ),
            "kid_test": normal(held.kid.mean, held.kid.standard_error),
            "classifier_score": draw.statistic(
                score, (self.n,), lambda counts: classifier_score(generated.probabilities, counts)
            ),
            **{name: draw.mean(values) for name, values in held.each.items()},
        }
