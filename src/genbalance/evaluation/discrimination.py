"""What a discriminator still tells apart."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Logits = NDArray[np.floating]


def right(real: Logits, generated: Logits) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether D is right on each image: D(x) > ½, a logit [n] above 0, on real ones, below on generated ones [m].

    Goodfellow et al. 2014 (arXiv:1406.2661): at the game's equilibrium both shares are ½.
    """
    return real > 0, generated < 0


def ranked(real: Logits, generated: Logits) -> float:
    """P(D(real) > D(generated)) over all pairs, the area under the ROC curve: ½ where D cannot tell them apart.

    Unlike the accuracies it does not depend on where D's threshold lies at the moment when training ends.
    """
    truth = np.repeat([1, 0], [len(real), len(generated)])
    return float(roc_auc_score(truth, np.concatenate([real, generated])))
