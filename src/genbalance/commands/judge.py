"""The judge of the digits at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared
from genbalance.errors import UserError

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.judge import Judge
    from genbalance.models.classifier import Classifier


def load_judge(path: Path, data: Path, digits: Prepared, device: "torch.device") -> "Judge":
    """The classifier at ``path``, which was trained on the ``digits`` of the folder ``data``.

    Raises:
        UserError: it is not there, or is the classifier of other digits.
    """
    from genbalance import weights
    from genbalance.evaluation.judge import Judge
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

    return Judge(weights.load(path, build, device), standardized(digits.mean, digits.std), device)


def in_pixels(side: int) -> str:
    """The size of a square."""
    return f"{side} × {side}"
