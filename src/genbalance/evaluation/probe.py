"""The linear probe: how linearly the classes lie in the latents."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 1000  # at most, of L-BFGS

Codes = NDArray[np.floating]
Labels = NDArray[np.int64]


def linear_probe(train: Codes, train_labels: Labels, test: Codes, test_labels: Labels) -> NDArray[np.bool_]:
    """Whether a logistic regression on the standardized codes [n, latents] names the class of each test image [m].

    Alain & Bengio 2017 (arXiv:1610.01644): its accuracy, the mean, says how linearly the classes lie in the latents.
    Where the codes are of a single class, it names that one.
    """
    if len(np.unique(train_labels)) < 2:
        always: NDArray[np.bool_] = test_labels == train_labels[0]
        return always
    right: NDArray[np.bool_] = _fitted(train, train_labels).predict(test.astype(np.float64)) == test_labels
    return right


def probe_weights(train: Codes, labels: Labels) -> tuple[Labels, NDArray[np.float64]]:
    """The classes [C] that are among ``labels`` [n], of two or more, and the weight of each latent for each of them
    [C, latents]: by how much a standard deviation of the latent raises the class's logit in the probe of the codes
    ``train`` [n, latents], less the mean over all classes."""
    probe = _fitted(train, labels)[-1]
    weights = probe.coef_ if len(probe.classes_) > 2 else np.concatenate([-probe.coef_, probe.coef_]) / 2
    return probe.classes_, weights - weights.mean(axis=0)


def _fitted(train: Codes, labels: Labels) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS)).fit(train.astype(np.float64), labels)
