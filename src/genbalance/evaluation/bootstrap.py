"""Intervals at 95%: bootstrap ones (Efron 1979), and in closed form those of a known standard error and of a share.

The percentiles of means over images stand as they are. Of other statistics resampling makes biased ones (repeated
images raise the Fréchet distance); their percentiles are shifted so that the resampled values have the metric itself as
their mean: an interval tells the spread that another draw of as many images would show, not the bias.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TAILS = (0.025, 0.975)
QUANTILE = 1.959963984540054  # of the standard normal at 97.5%


@dataclass(frozen=True)
class Bootstrap:
    """``resamples`` draws of n images with repeats out of n; equal for equal ``seed``, n and ``side``."""

    resamples: int
    seed: int

    def counts(self, n: int, side: int = 0) -> Iterator[NDArray[np.int64]]:
        """How often a resample holds each of n images [n], one resample after another; two sides are resampled
        independently."""
        rng, even = np.random.default_rng([self.seed, side]), np.full(n, 1 / n)
        return (rng.multinomial(n, even) for _ in range(self.resamples))

    def mean(self, values: NDArray[np.generic]) -> dict[str, float]:
        """The interval of the mean of per-image values [n]; it lies between the least and the largest of them."""
        x = values.astype(np.float64)
        resampled = np.array([counts @ x for counts in self.counts(len(x))]) / len(x)
        # a mean has no bias: a shift would only move the interval of a share beyond 0 or 1
        return _holding(float(x.mean()), np.quantile(resampled, TAILS))

    def statistic(
        self, value: float, sizes: tuple[int, ...], of: Callable[..., float | np.floating]
    ) -> dict[str, float]:
        """The interval of ``value``, a function ``of`` the counts of each side, whose sizes are given."""
        sides = [self.counts(n, side) for side, n in enumerate(sizes)]
        return around(value, np.array([of(*counts) for counts in zip(*sides, strict=True)]))


def around(value: float, resampled: NDArray[np.floating]) -> dict[str, float]:
    """``low`` and ``high`` of ``value`` out of its resampled values, whose bias is taken away."""
    return _holding(value, value + np.quantile(resampled, TAILS) - resampled.mean())


def normal(value: float, standard_error: float) -> dict[str, float]:
    """``low`` and ``high`` of a value whose standard error is known."""
    return {"low": value - QUANTILE * standard_error, "high": value + QUANTILE * standard_error}


def wilson(shares: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the intervals of ``shares`` of n images (Wilson 1927): unlike a bootstrap's that of a share of 0,
    whose upper end is about 3.8/n, has a width."""
    z = QUANTILE**2 / n
    middle, reach = shares + z / 2, np.sqrt(z * (shares * (1 - shares) + z / 4))
    low, high = ((middle + sign * reach) / (1 + z) for sign in (-1, 1))
    return np.minimum(low, shares).clip(min=0), np.maximum(high, shares).clip(max=1)


def _holding(value: float, ends: NDArray[np.float64]) -> dict[str, float]:
    return {"low": float(min(ends[0], value)), "high": float(max(ends[1], value))}
