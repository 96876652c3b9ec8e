"""Two groups of runs of an experiment compared on one metric, and many metrics judged together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
ROUNDING = 16 * np.finfo(np.float64).eps  # a spread below this share of the values is rounding: equal values


@dataclass(frozen=True)
class Difference:
    """How group b differs from group a on one metric, in the metric's unit.

    Attributes:
        mean_a: of the first group; ``mean_b`` of the second.
        sd_a: standard deviation of the first group (n − 1), None for one run; ``sd_b`` of the second.
        difference: mean_b − mean_a.
        low: lower end of the 95% interval of the difference, ``high`` its upper end; None where a group has one run.
        p: two-sided p-value of no difference, None where a group has one run.
        effect: Hedges' g, in standard deviations between runs; ±∞ where nothing spreads and the means differ; None
            where a group has one run.
    """

    mean_a: float
    mean_b: float
    sd_a: float | None
    sd_b: float | None
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    effect: float | None = None


def compare(a: NDArray[np.floating], b: NDArray[np.floating], paired: bool) -> Difference:
    """The difference of two groups of runs [n] and [m], finite numbers below 1e150 in size.

    Paired: Student's t interval of the n differences b − a, with n − 1 degrees of freedom. Not paired: Welch's t, for
    groups whose spreads may differ (Welch 1947), with the degrees of freedom of his approximation,
    (v_a + v_b)² / (v_a²/(n − 1) + v_b²/(m − 1)) where v = s²/n. Where nothing spreads, the interval has no width and
    p is 0, or 1 without a difference.

    Raises:
        ValueError: a group is empty, or pairs are of unequal number.
    """
    if not len(a) or not len(b) or (paired and len(a) != len(b)):
        raise ValueError(f"{len(a)} and {len(b)} runs; allowed: at least one a side, as many on both sides when paired")
    x, y = a.astype(np.float64), b.astype(np.float64)
    rounding = ROUNDING * float(max(np.abs(x).max(), np.abs(y).max()))
    mean_a, mean_b = float(x.mean()), float(y.mean())
    difference = mean_b - mean_a if abs(mean_b - mean_a) > rounding else 0.0
    n, m = len(x), len(y)
    sd_a, sd_b = (_sd(values, rounding) if len(values) > 1 else None for values in (x, y))
    if sd_a is None or sd_b is None:
        return Difference(mean_a, mean_b, sd_a, sd_b, difference)
    if paired:
        error, freedom = _sd(y - x, rounding) / math.sqrt(n), n - 1.0
    else:
        error, freedom = _welch(sd_a / math.sqrt(n), n, sd_b / math.sqrt(m), m)
    half = error * float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    p = 2 * float(stdtr(freedom, -abs(difference) / error)) if error else float(difference == 0)
    effect = _hedges_g(difference, sd_a, n, sd_b, m)
    return Difference(mean_a, mean_b, sd_a, sd_b, difference, difference - half, difference + half, p, effect)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values [m], in the order given: at most α for exactly the hypotheses that Holm rejects at level α.

    max over j ≤ i of min(1, (m − j + 1)·p₍ⱼ₎) for the i-th smallest (Holm 1979). Whatever the dependence between the
    metrics, the chance of one or more false rejections among all m is at most α.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return [float(value) for value in adjusted]


def _sd(x: NDArray[np.float64], rounding: float) -> float:
    return float(x.std(ddof=1)) if np.ptp(x) > rounding else 0.0


def _welch(error_a: float, n: int, error_b: float, m: int) -> tuple[float, float]:
    """Standard error of a difference of means, and the degrees of freedom, from the standard errors of the means."""
    error = math.hypot(error_a, error_b)
    if not error:
        return 0.0, n + m - 2.0
    share_a, share_b = (error_a / error) ** 2, (error_b / error) ** 2  # shares, since fourth powers would underflow
    return error, 1 / (share_a**2 / (n - 1) + share_b**2 / (m - 1))


def _hedges_g(difference: float, sd_a: float, n: int, sd_b: float, m: int) -> float:
    """J·(mean_b − mean_a)/s, s² pooled over both groups, J = Γ(k/2) / (√(k/2)·Γ((k − 1)/2)) with k = n + m − 2.

    Hedges 1981. For pairs it is the g_av of Lakens 2013: also there in standard deviations *between* runs, not of the
    differences, so that an effect means the same in both designs and a good pairing does not inflate it.
    """
    freedom = n + m - 2
    pooled = math.sqrt(((n - 1) * sd_a**2 + (m - 1) * sd_b**2) / freedom)
    if not pooled:
        return math.copysign(math.inf, difference) if difference else 0.0
    correction = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return correction * difference / pooled
