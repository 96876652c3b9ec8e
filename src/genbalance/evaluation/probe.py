"""The linear probe: how linearly the classes lie in the latents."""

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
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS))
    probe.fit(train.astype(np.float64), train_labels)
    right: NDArray[np.bool_] = probe.predict(test.astype(np.float64)) == test_labels
    return right
