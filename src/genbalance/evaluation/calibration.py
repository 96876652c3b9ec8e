"""A classifier's accuracy, and its expected calibration error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 15


def reading_quality(
    logits: Tensor, labels: NDArray[np.int64], class_name: Callable[[int], str] | None = str
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Metrics of logits [n, classes] against labels [n], and the predicted classes [n].

    ``test_nll``: mean −log p(label), nats. ``ece``: :func:`calibration_error`. ``per_class_accuracy``: of the classes
    that have images, by the name that ``class_name`` gives them; left out where it is None.
    """
    target = torch.from_numpy(labels)
    predicted: NDArray[np.int64] = logits.argmax(dim=1).numpy()
    classes = logits.shape[1]
    counts = np.bincount(classes * labels + predicted, minlength=classes**2).reshape(classes, classes)
    quality: dict[str, Any] = {
        "test_accuracy": float(counts.diagonal().sum() / counts.sum()),
        "test_nll": float(torch.nn.functional.cross_entropy(logits, target)),
        "ece": calibration_error(logits, target),
    }
    if class_name:
        quality["per_class_accuracy"] = {
            class_name(label): float(counts[label, label] / counts[label].sum()) for label in np.unique(labels)
        }
    return quality, predicted


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """The expected calibration error, Σ over 15 bins of confidence of (share of images) · |accuracy − confidence|, in
    [0, 1] (Guo et al. 2017, arXiv:1706.04599, equation 3)."""
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    bins = torch.bucketize(confidence, torch.linspace(0, 1, BINS + 1), right=True)

    def sums(values: Tensor) -> Tensor:
        return torch.zeros(BINS + 2, dtype=confidence.dtype).scatter_add(0, bins, values.to(confidence.dtype))

    counts = sums(torch.ones_like(confidence))
    gaps = (sums(predicted == labels) / counts - sums(confidence) / counts).abs().nan_to_num()
    return float((gaps * (counts / len(labels))).sum())
