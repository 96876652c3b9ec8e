"""The libraries' ways to the same numbers, each fed feature vectors [n, d] instead of images."""

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from prdc import compute_prdc  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch_fidelity.metric_fid import (  # type: ignore[import-untyped]
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric  # type: ignore[import-untyped]
from torch_fidelity.metric_prc import (  # type: ignore[import-untyped]
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

FeatureMatrix = NDArray[np.floating]
Numbers = NDArray[np.float64]


class Passing(nn.Module):
    """Stands for Inception: the images already are features [n, d]."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.num_features = dimensions

    def forward(self, features: Tensor) -> Tensor:
        """As they came."""
        return features


@dataclass(frozen=True)
class References:
    """What each library makes of ``generated`` and ``real`` vectors; subsets and neighbours as ours."""

    generated: FeatureMatrix
    real: FeatureMatrix
    subsets: int
    subset_size: int
    neighbours: int
    seed: int

    def frechet_by_torch_fidelity(self) -> Numbers:
        """Statistics and metric."""
        statistics = (fid_features_to_statistics(x) for x in self._tensors)
        return np.array([fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]])

    def frechet_by_torchmetrics(self) -> Numbers:
        """Update and compute."""
        metric = FrechetInceptionDistance(feature=Passing(self.real.shape[1]))
        return np.array([float(self._updated(metric).compute())])

    def kernel_by_torch_fidelity(self) -> Numbers:
        """The mean over its subsets, which it draws from a RandomState(seed)."""
        found = kid_features_to_metric(
            *self._tensors,
            kid_subsets=self.subsets,
            kid_subset_size=self.subset_size,
            kid_kernel_poly_degree=3,
            kid_kernel_poly_gamma=None,
            kid_kernel_poly_coef0=1,
            rng_seed=self.seed,
            verbose=False,
        )
        return np.array([found[KEY_METRIC_KID_MEAN]])

    def kernel_by_torchmetrics(self) -> Numbers:
        """The mean over its subsets, which it draws from torch's global generator."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*will save all extracted features", category=UserWarning)
            metric = KernelInceptionDistance(
                feature=Passing(self.real.shape[1]),
                subsets=self.subsets,
                subset_size=self.subset_size,
                degree=3,
                gamma=None,
                coef=1.0,
            )
        torch.manual_seed(self.seed)
        mean, _ = self._updated(metric).compute()
        return np.array([float(mean)])

    def precision_and_recall_by_torch_fidelity(self) -> Numbers:
        """Precision and recall."""
        found = prc_features_to_metric(*self._tensors, prc_neighborhood=self.neighbours, verbose=False)
        return np.array([found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]])

    def manifolds_by_prdc(self) -> Numbers:
        """Precision, recall, density, coverage."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints how many there are
            found = compute_prdc(self.real, self.generated, self.neighbours)
        return np.array([found[name] for name in ("precision", "recall", "density", "coverage")])

    @property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.generated), torch.from_numpy(self.real)

    def _updated(self, metric: Any) -> Any:
        for features, real in zip(self._tensors, (False, True), strict=True):
            metric.update(features, real=real)
        return metric
