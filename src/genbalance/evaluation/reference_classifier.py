"""The reference classifier, loaded and checked against the images that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared, in_words
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.models.classifier import Classifier


def load_extractor(path: Path, data: Path, dataset: Prepared, device: "torch.device") -> "FeatureExtractor":
    """That at ``path``, trained on the ``dataset`` of the folder ``data``: on its classes, or on the rotations of
    images that have no two classes.

    Raises:
        UserError: it is not there, or was trained on other images.
    """
    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.models import weights
    from genbalance.models.classifier import Classifier, turns

    def build(**config: Any) -> "Classifier":
        classifier = Classifier(**config)
        found = _task(config["shape"], config["classes"], config.get("rotations", False))
        outputs = dataset.classes if dataset.has_classes else len(turns(dataset.shape))
        if found != (wanted := _task(dataset.shape, outputs, not dataset.has_classes)):
            raise UserError(
                f"{path}: was trained on {found}, but {data} has {wanted}; allowed: the classifier of these images"
            )
        return classifier

    return FeatureExtractor(weights.load(path, build, device), standardized(dataset.mean, dataset.std), device)


def _task(shape: list[int], outputs: int, rotations: bool) -> str:
    """What a classifier with so many ``outputs`` learned."""
    return f"{outputs} {'rotations' if rotations else 'classes'} of {in_words(shape)}"
