"""The separated attribute predictability: by how much one latent predicts each factor better than any other."""

import numpy as np
from numpy.typing import NDArray


def separated_attribute_predictability(
    train_codes: NDArray[np.floating],
    train_factors: NDArray[np.int64],
    test_codes: NDArray[np.floating],
    test_factors: NDArray[np.int64],
) -> float:
    """SAP = 1/K Σₖ (S₁ₖ − S₂ₖ), S₁ₖ and S₂ₖ the best two of the scores Sᵢₖ with which one latent zᵢ alone predicts
    factor vₖ: in [0, 1], at most 1 − 1/values of a factor that one latent alone knows.

    Kumar et al. 2018 (arXiv:1711.00848), section 3. Sᵢₖ is the balanced accuracy (mean over the values of the factor)
    of thresholds on the latent, one less than the factor has values. A decision tree finds them, greedily by Gini
    impurity, on training rows; test rows measure them. Of a single latent the second best is chance.

    Args:
        train_codes: [n, L]. Neither their order nor a unit or origin of each matters.
        train_factors: [n, K], each with at least two values.
        test_codes: [m, L].
        test_factors: [m, K].
    """
    gaps = []
    for factor, test_factor in zip(train_factors.T, test_factors.T, strict=True):
        scores = [
            _score(code, factor, test_code, test_factor)
            for code, test_code in zip(train_codes.T, test_codes.T, strict=True)
        ]
        *_, second, first = sorted([1 / len(np.unique(factor)), *scores])
        gaps.append(first - second)
    return float(np.mean(gaps))


def _score(
    code: NDArray[np.floating],
    factor: NDArray[np.int64],
    test_code: NDArray[np.floating],
    test_factor: NDArray[np.int64],
) -> float:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=len(np.unique(factor)), class_weight="balanced", random_state=0)
    right = tree.fit(code[:, None], factor).predict(test_code[:, None]) == test_factor
    return float(np.mean([right[test_factor == value].mean() for value in np.unique(test_factor)]))
