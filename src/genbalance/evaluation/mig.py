"""The mutual information gap: whether each factor is in one latent alone."""

import numpy as np
from numpy.typing import NDArray

BINS = 20


def mutual_information_gap(codes: NDArray[np.floating], factors: NDArray[np.int64]) -> float:
    """MIG = 1/K Σₖ (I(z₁; vₖ) − I(z₂; vₖ)) / H(vₖ), z₁ and z₂ the two latents that know most of factor vₖ: in [0, 1].

    Chen et al. 2018 (arXiv:1802.04942), eq. 6. 1: each factor is a function of one latent, and no other latent knows
    anything of it. 0: two latents or none know it. As Locatello et al. 2019 (arXiv:1811.12359) have it, z is E[z|x] in
    20 equally wide bins from its least to its largest value, where Chen et al. integrate over q(z|x). Of a single
    latent the second one knows nothing.

    Args:
        codes: [n, L]. Neither their order nor a unit or origin of each matters.
        factors: [n, K], each with at least two values.
    """
    gaps = []
    bins = [_binned(code) for code in codes.T.astype(np.float64)]
    for factor in factors.T:
        entropy = _entropy(factor)
        *_, second, first = sorted([0.0, *(entropy + _entropy(code) - _entropy(code, factor) for code in bins)])
        gaps.append((first - second) / entropy)
    return float(np.clip(np.mean(gaps), 0, 1))  # sums of logarithms round


def _binned(code: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = np.histogram_bin_edges(code, BINS)
    places: NDArray[np.int64] = np.digitize(code, edges[1:-1])
    return places


def _entropy(*values: NDArray[np.int64]) -> float:
    """Of the joint distribution of columns [n], nats."""
    _, counts = np.unique(np.stack(values), axis=1, return_counts=True)
    return float(np.log(counts.sum()) - (counts * np.log(counts)).sum() / counts.sum())
