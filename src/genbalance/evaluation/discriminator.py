"""How well a discriminator separates real from generated images."""

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.floating]


def accuracies(train: Logits, test: Logits, generated: Logits) -> dict[str, NDArray[np.bool_]]:
    """``d_accuracy_train``, ``d_accuracy_test``, ``d_accuracy_generated``: whether D is right on each image [n].

    It is where D(x) > ½, a logit above 0, for a real image, and below for a generated one. Goodfellow et al. 2014
    (arXiv:1406.2661): at the game's equilibrium the means are ½.
    """
    return {"d_accuracy_train": train > 0, "d_accuracy_test": test > 0, "d_accuracy_generated": generated < 0}


def auc(real: Logits, generated: Logits) -> float:
    """P(D(real) > D(generated)) over all pairs of logits [n] and [m], ties counting half: the area under the ROC curve.

    ½ where D cannot tell them apart. Unlike the accuracies it does not depend on where D's threshold lies when training
    ends.
    """
    ordered = np.sort(generated)
    below, not_above = (np.searchsorted(ordered, real, side) for side in ("left", "right"))
    return float((below + not_above).sum() / (2 * len(real) * len(generated)))
