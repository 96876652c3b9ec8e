"""The reference classifier, loaded and checked against the digits that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.models.classifier import Classifier


def load_extractor(path: Path, data: Path, digits: Prepared, device: "torch.device") -> "FeatureExtractor":
    """That at ``path``, trained on the ``digits`` of the folder ``data``.

    Raises:
        UserError: it is not there, or was trained on other digits.
    """
    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.models import weights
    from genbalance.models.classifier import Classifier

    def build(**config: Any) -> "Classifier":
        classifier = Classifier(**config)
        size, classes = config["size"], config["classes"]
        if (size, classes) != (digits.height, digits.classes):
            raise UserError(
                f"{path}: was trained on {classes} classes of {in_pixels(size)} pixels, but {data} has "
                f"{digits.classes} of {in_pixels(digits.height)}; allowed: the classifier of these digits"
            )
        return classifier

    return FeatureExtractor(weights.load(path, build, device), standardized(digits.mean, digits.std), device)


def in_pixels(side: int) -> str:
    """The size of a square."""
    return f"{side} × {side}"
