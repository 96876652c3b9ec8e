"""The FactorVAE score: whether the latent that stands still says which factor does."""

import numpy as np
from numpy.typing import NDArray

VOTES, BATCH = 5_000, 64


def factor_vae_score(
    train_codes: NDArray[np.floating],
    train_factors: NDArray[np.int64],
    test_codes: NDArray[np.floating],
    test_factors: NDArray[np.int64],
    rng: np.random.Generator,
) -> float:
    """The accuracy of a majority vote: in [0, 1]; 1/K, chance, where no latent knows a factor.

    Kim & Mnih 2018 (arXiv:1802.05983), section 4. A vote: of 64 rows that share the value of a random factor, the
    latent whose variance, over that of all rows, is least. On votes of training rows each latent is given the factor
    that it most often stands for; on votes of test rows the score is the share for which that factor is the right one.
    Rows are drawn, with replacement, of those that have the value of a random row, where the paper draws images anew:
    so the other factors vary as they do in the data, freely if it has all their combinations. Latents that never vary
    have no vote; where none varies the score is 0.

    Args:
        train_codes: [n, L]. Neither their order nor a unit or origin of each matters.
        train_factors: [n, K].
        test_codes: [m, L].
        test_factors: [m, K].
        rng: draws the factors and rows.
    """
    active = (np.ptp(train_codes, axis=0) > 0) & (np.ptp(test_codes, axis=0) > 0)
    if not active.any():
        return 0.0
    learned = _votes(train_codes[:, active], train_factors, rng)
    held_out = _votes(test_codes[:, active], test_factors, rng)
    right = held_out[learned.argmax(axis=0), np.arange(held_out.shape[1])]
    return float(right.sum() / held_out.sum())


def _votes(codes: NDArray[np.floating], factors: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each latent had the least variance while each factor stood still: [K, L]."""
    codes = codes.astype(np.float64)
    codes = codes / codes.std(axis=0)
    votes = np.zeros((factors.shape[1], codes.shape[1]), np.int64)
    chosen = np.bincount(rng.integers(factors.shape[1], size=VOTES), minlength=factors.shape[1])
    for row, factor, count in zip(votes, factors.T, chosen, strict=True):
        order = factor.argsort(kind="stable")
        value = rng.choice(factor, count)
        first, end = (np.searchsorted(factor[order], value, side)[:, None] for side in ("left", "right"))
        batches = codes[order[rng.integers(first, end, size=(count, BATCH))]]
        row += np.bincount(batches.var(axis=1).argmin(axis=1), minlength=len(row))
    return votes
