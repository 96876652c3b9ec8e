"""Disentanglement, completeness and informativeness: how factors and latents are matched, by a classifier's eyes."""

import numpy as np
from numpy.typing import NDArray

TREES, LEAF = 10, 20


def dci(
    train_codes: NDArray[np.floating],
    train_factors: NDArray[np.int64],
    test_codes: NDArray[np.floating],
    test_factors: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, float]:
    """What random forests that predict each factor from all latents say, each in [0, 1], higher is better.

    Eastwood & Williams 2018 (https://openreview.net/forum?id=By-7dz-AZ), section 2. R [L, K] are the importances of
    the latents for the factors: the share of the fall in Gini impurity.

    - ``dci_disentanglement``: :func:`disentanglement` of R. 1: each latent is of use for one factor.
    - ``dci_completeness``: :func:`completeness` of R. 1: each factor needs one latent.
    - ``dci_informativeness``: accuracy on test rows, mean over factors; the paper has an error, lower is better.

    The forests have 10 trees whose leaves hold at least 20 rows: smaller leaves fit noise, and give latents without
    information a share. Each split chooses among all latents, so that none is of use for want of a better one.

    Args:
        train_codes: [n, L]. Neither their order nor a unit or origin of each matters, but for ties.
        train_factors: [n, K].
        test_codes: [m, L].
        test_factors: [m, K].
        rng: draws the rows of each tree.
    """
    from sklearn.ensemble import RandomForestClassifier

    importances, accuracies = [], []
    for factor, test_factor in zip(train_factors.T, test_factors.T, strict=True):
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, max_features=None, random_state=int(rng.integers(2**31)), n_jobs=1
        ).fit(train_codes, factor)
        importances.append(forest.feature_importances_)
        accuracies.append(np.mean(forest.predict(test_codes) == test_factor))
    matrix = np.stack(importances, axis=1)
    return {
        "dci_disentanglement": disentanglement(matrix),
        "dci_completeness": completeness(matrix),
        "dci_informativeness": float(np.mean(accuracies)),
    }


def disentanglement(importances: NDArray[np.float64]) -> float:
    """D = Σᵢ ρᵢ (1 − H(Pᵢ)/log K) of R [L, K], Pᵢₖ = Rᵢₖ/Σₖ Rᵢₖ and ρᵢ = Σₖ Rᵢₖ/Σ R; 0 where R is. 1 for one factor."""
    total = importances.sum()
    rows = importances[importances.sum(axis=1) > 0]
    if not total or importances.shape[1] == 1:
        return float(total > 0)
    shares = rows / rows.sum(axis=1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1))
    each = 1 + (shares * logs).sum(axis=1) / np.log(importances.shape[1])
    return float(np.clip((rows.sum(axis=1) / total * each).sum(), 0, 1))


def completeness(importances: NDArray[np.float64]) -> float:
    """C = Σₖ ρₖ (1 − H(P̃ₖ)/log L) of R [L, K], P̃ᵢₖ = Rᵢₖ/Σᵢ Rᵢₖ and ρₖ = Σᵢ Rᵢₖ/Σ R, factors that no latent predicts
    left out; 0 where R is. 1 for one latent."""
    return disentanglement(importances.T)
