"""Every metric of the samples of any model, on the classifier's features, beside its value for real images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data.prepared import Prepared
from genbalance.evaluation.bootstrap import Bootstrap, normal
from genbalance.evaluation.classes import class_shares, total_variation
from genbalance.evaluation.classifier_score import classifier_score
from genbalance.evaluation.fairness import balance, class_table, extreme_intervals
from genbalance.evaluation.features import Extractor, Features, Images
from genbalance.evaluation.frechet import FeatureMatrix, frechet_distance, frechet_infinity, frechet_weighted
from genbalance.evaluation.kid import KernelDistance, kernel_distance
from genbalance.evaluation.membership import Scores, attack, candidates, nearness
from genbalance.evaluation.memorization import Copies, find_copies
from genbalance.evaluation.neighbours import mean_distance
from genbalance.evaluation.prdc import prdc
from genbalance.evaluation.reference import Real, Rows
from genbalance.evaluation.two_sample import nearest_neighbour_test
from genbalance.evaluation.vendi import vendi_score
from genbalance.params import EvaluateConfig
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed


@dataclass(frozen=True)
class TwoSampleMetrics:
    """Distances, and under ``each`` the metrics that are means, with the value of each image [n]."""

    fd: float
    fd_infinity: float
    kid: KernelDistance
    each: dict[str, NDArray[np.float64]]

    @property
    def shares(self) -> dict[str, float]:
        """The means: precision, recall, density, coverage, nn_accuracy."""
        return {name: float(values.mean()) for name, values in self.each.items()}


def two_sample_metrics(
    features: FeatureMatrix, test: FeatureMatrix, config: EvaluateConfig, seed: int
) -> TwoSampleMetrics:
    """Of ``features`` and ``test``, both [n, d]; the same subsets each time, so that only the images differ."""
    subsets, extrapolation = (np.random.default_rng(stream_seed(seed, f"evaluate/{name}")) for name in ("kid", "fd"))
    # at n images no more neighbours than n − 1
    near = prdc(test, features, min(config.neighbours, len(test) - 1))
    neighbour = nearest_neighbour_test(test, features)
    return TwoSampleMetrics(
        fd=frechet_distance(features, test),
        fd_infinity=frechet_infinity(features, test, extrapolation),
        kid=kernel_distance(features, test, config.kid_subsets, config.kid_subset_size, subsets),
        each={
            "precision": near.precision,
            "recall": near.recall,
            "density": near.density,
            "coverage": near.coverage,
            "nn_accuracy": np.concatenate([neighbour.real, neighbour.generated]),
        },
    )


OF_CLASSES = frozenset(
    {
        *("classifier_score", "classifier_score_real", "class_distance", "class_distance_real", "class_histogram"),
        *("classifier_agreement", "condition_accuracy", "probe_accuracy"),
    }
)
"""Metrics that depend on which classes the classifier reads, beside those of `balance`: of images without two classes
they say nothing. Reports leave out the same (`families.registry.OF_CLASSES`, which no evaluation depends on)."""
RESAMPLED = 512
"""Features for which Fréchet distances have intervals, at most: the time of each of its resamples grows with the
cube of their number, and 200 of 2,048 features would take half an hour."""
Metrics = dict[str, Any]
Attacks = dict[str, tuple[Scores, Scores]]
PerImage = NDArray[np.float64] | NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """``metrics`` by name, their intervals in ``ci95``, a table of ``classes``, and the ``copies`` that were found. Of
    images without two classes the table has no rows, and metrics of classes are left out."""

    metrics: Metrics
    classes: pd.DataFrame
    copies: Copies


@dataclass(frozen=True)
class Samples:
    """n samples of a model: noise ``z`` [n, L], ``condition`` [n] or None, ``images`` uint8 [n, H, W(, 3)], the
    classifier's ``features`` of them, and what was ``measured``."""

    z: Tensor
    condition: Tensor | None
    images: Images
    features: Features
    measured: Measured


@dataclass(frozen=True)
class EvaluationSuite:
    """The real images that samples are compared with, and how: see :meth:`measure`."""

    real: Real
    config: EvaluateConfig
    seed: int

    @classmethod
    def of(
        cls, dataset: Prepared, extractor: Extractor, config: EvaluateConfig, seed: int, most: int | None = None
    ) -> "EvaluationSuite":
        """n is ``evaluate.samples``, or fewer where a split (or ``most``, the samples at hand) has fewer.

        Raises:
            UserError: too few images to measure with.
        """
        n = config.samples if most is None else min(config.samples, most)
        return cls(Real.of(dataset, extractor, n, seed), config, seed)

    @property
    def n(self) -> int:
        """Images a side."""
        return self.real.n

    @property
    def bootstrap(self) -> Bootstrap:
        """That of every interval."""
        return Bootstrap(self.config.resamples, stream_seed(self.seed, "evaluate/bootstrap"))

    def measure(self, generated: Features) -> Measured:
        """Every metric of n ``generated`` images against n test images, beside its value for real ones.

        Raises:
            UserError: the classifier's features of a sample are NaN or infinite.
        """
        if len(generated.features) != self.n:
            raise ValueError(f"{len(generated.features)} samples for a suite of {self.n}")
        if not np.isfinite(generated.features).all():
            raise UserError("the classifier's features of the samples: found NaN or infinity; allowed: finite numbers")
        compared = self._compare(generated)
        table = class_table(generated, self.real, self.bootstrap if self._resampled else None)
        copies = find_copies(generated, self.real)
        metrics = {
            "n": self.n,
            **self._metrics(generated, compared),
            **(balance(table, generated, self.real) if self.real.has_classes else {}),
            **copies.metrics,
            "class_histogram": dict(zip(self.real.class_names, map(float, table["generated"]), strict=True)),
            "ci95": self._intervals(generated, compared)
            | copies.intervals(self.bootstrap)
            | (extreme_intervals(table) if self.real.has_classes else {}),
        }
        return Measured(self._measurable(metrics), table, copies)

    def attacked(self, dataset: Prepared, images: Images, rows: tuple[Rows, Rows]) -> Attacks:
        """The membership inference attack on the samples' ``images`` [n, H, W(, 3)], ``distance``, and beside it on
        validation images in their place, ``distance_real``. ``rows`` are those of :meth:`candidates`."""
        pair = dataset.train.images[rows[0]], dataset.test.images[rows[1]]
        of_val = dataset.val.images[: self.n]
        return {"distance": nearness(*pair, images), "distance_real": nearness(*pair, of_val)}

    def candidates(self, dataset: Prepared) -> tuple[Rows, Rows]:
        """The rows of the training and of the test images that membership inference is to tell apart, n at most."""
        return candidates(dataset.train, dataset.test, self.n)

    def summary(
        self,
        samples: Samples,
        own: Mapping[str, PerImage],
        quality: Mapping[str, PerImage],
        scalars: Metrics,
        attacks: Attacks,
    ) -> Metrics:
        """All metrics of a model, with the intervals of those that are means of per-image values [n].

        Args:
            samples: its samples.
            own: per-image values of its networks (discriminator, likelihood, codes).
            quality: per-image values of its images (reconstructions).
            scalars: metrics that have no interval.
            attacks: by name the scores that a membership inference attack gives members and others.
        """
        metrics = (
            samples.measured.metrics | {name: values.mean() for name, values in {**own, **quality}.items()} | scalars
        )
        intervals = {name: self.bootstrap.mean(values) for name, values in {**quality, **own}.items()}
        for name, scores in attacks.items():
            found = attack(*scores, self.bootstrap)
            metrics |= {f"membership_auc_{name}": found.auc, f"membership_tpr_{name}": found.tpr}
            intervals |= {f"membership_{measure}_{name}": ends for measure, ends in found.ci95.items()}
        return self._measurable(metrics | {"ci95": metrics["ci95"] | intervals})

    def _measurable(self, metrics: Metrics) -> Metrics:
        """``metrics``, without those of classes where there are none."""
        if self.real.has_classes:
            return metrics
        kept = {name: value for name, value in metrics.items() if name not in OF_CLASSES}
        return kept | {"ci95": {name: ends for name, ends in metrics["ci95"].items() if name not in OF_CLASSES}}

    @property
    def _resampled(self) -> bool:
        """Whether the Fréchet distances have intervals."""
        return bool(self.real.test.features.shape[1] <= RESAMPLED)

    @cached_property
    def _reference(self) -> Metrics:
        """What does not depend on the samples: floor, ceiling, and what real images get."""
        floor, test, ceiling = self._compare(self.real.floor), self.real.test, self.real.ceiling
        rng = np.random.default_rng(stream_seed(self.seed, "evaluate/kid"))
        kid = kernel_distance(
            ceiling.features, test.features, self.config.kid_subsets, self.config.kid_subset_size, rng
        )
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
            **{f"{name}_real": value for name, value in find_copies(self.real.val, self.real).metrics.items()},
        }

    def _compare(self, images: Features) -> TwoSampleMetrics:
        return two_sample_metrics(images.features, self.real.test.features, self.config, self.seed)

    def _class_distance(self, images: Features) -> float:
        return total_variation(*(class_shares(x.probabilities) for x in (images, self.real.test)))

    def _metrics(self, generated: Features, compared: TwoSampleMetrics) -> Metrics:
        own = {
            "fd_test": compared.fd,
            "fd_infinity": compared.fd_infinity,
            "kid_test": compared.kid.mean,
            "kid_std": compared.kid.std,
            "classifier_score": classifier_score(generated.probabilities),
            **compared.shares,
            "vendi": vendi_score(generated.features),
            "pairwise_distance": mean_distance(generated.features),
            "class_distance": self._class_distance(generated),
        }
        return own | self._reference

    def _intervals(self, generated: Features, compared: TwoSampleMetrics) -> dict[str, dict[str, float]]:
        test, draw, sizes = self.real.test, self.bootstrap, (self.n, self.n)
        score = classifier_score(generated.probabilities)
        fd = {}
        if self._resampled:
            of = partial(frechet_weighted, generated.features, test.features)
            fd["fd_test"] = draw.statistic(compared.fd, sizes, of)
        return {
            **fd,
            "kid_test": normal(compared.kid.mean, compared.kid.standard_error),
            "classifier_score": draw.statistic(
                score, (self.n,), lambda counts: classifier_score(generated.probabilities, counts)
            ),
            **{name: draw.mean(values) for name, values in compared.each.items()},
        }
