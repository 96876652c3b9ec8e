"""Codes and factors made up for the metrics of disentanglement."""

import numpy as np

COUNTS = (2, 3, 4, 5)


def grid(counts=COUNTS, repeats=8):
    """Every combination of factors, ``repeats`` times: [n, K]."""
    factors = np.indices((repeats, *counts)).reshape(1 + len(counts), -1)[1:].T
    return np.ascontiguousarray(factors, np.int64)


def random_codes(n, latents, seed=0):
    return np.random.default_rng(seed).standard_normal((n, latents))


def turned(codes):
    """Pairs of latents turned by 45°, which mixes the two of each."""
    first, second = codes[:, 0::2], codes[:, 1::2]
    return np.stack([first + second, first - second], axis=2).reshape(codes.shape) / np.sqrt(2)


def standardized(factors):
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def held(factors, mix=0.0, noise=0.6):
    """Codes that hold each factor and ``mix`` times the next one beside numbers that look random; and one of these
    alone. No generator is asked, so that what another library measured of them once stays true."""
    rows = np.arange(1, len(factors) + 1)[:, None]
    latents = np.arange(1, factors.shape[1] + 2)
    even = [rows * np.sqrt(9 * latents + offset) % 1 for offset in (2, 5)]  # no square: all fractions alike
    x = standardized(factors)
    means = np.concatenate([x + mix * np.roll(x, 1, axis=1), np.zeros((len(x), 1))], axis=1)
    return means + noise * np.sqrt(6) * (sum(even) - 1)
