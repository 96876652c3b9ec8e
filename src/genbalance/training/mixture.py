"""A mixture of normals, fitted to the posteriors of training images, as the prior of a VAE."""

import math

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Numbers = NDArray[np.float64]

MOST = 20_000  # images that it is fitted to, at most
STEPS = 100  # of EM, at most
ENOUGH = 1e-3  # nats an image that a step gains: EM ends with a step that gains less
RIDGE = 1e-3  # added to the diagonal of each covariance
DECIMALS = 4  # of the fitted numbers that are kept: other processors differ in later ones
EACH = 5  # images of a component, at least


Mixture = tuple[Numbers, Numbers, Numbers]
"""Weights [K], means [K, L] and scales [K, L, L], lower triangular: the covariances are scale · scaleᵀ."""


def fit(means: Numbers, variances: Numbers, count: int, seed: int) -> Mixture:
    """The mixture under which z ~ q(z|x) = N(``means``, diag ``variances``), both [n, L], is most likely: the greatest
    lower bound on E_q[log p(z)] by expectation-maximization (Dempster et al. 1977), from k-means of the means on.

    All posteriors together, the aggregate posterior, lie where a decoder was trained; samples of N(0, I) lie also where
    it was not (ex-post density estimation: Ghosh et al. 2020, arXiv:1903.12436, section 4). Of all priors the
    aggregate posterior has the least rate (Tomczak & Welling 2018, arXiv:1705.07120, section 2). The expectation over
    q is taken in closed form, E_q[log N(z; m, C)] = log N(μ; m, C) − ½·tr(C⁻¹·diag σ²): a fit to draws of z takes their
    chance for structure.

    Args:
        means: μ of the training images.
        variances: σ² of the same.
        count: of the components; fewer where there are few images, or where some come to stand for none.
        seed: of the start.
    """
    from sklearn.cluster import KMeans

    means, variances = means.astype(np.float64), variances.astype(np.float64)
    used = min(count, max(1, len(means) // EACH), len(np.unique(means, axis=0)))
    with threadpool_limits(1):  # whose number would change the order of sums
        nearest = KMeans(used, n_init=1, random_state=seed).fit_predict(means)
        shares, before = np.eye(used)[nearest], -math.inf
        for _ in range(STEPS):
            weights, centres, scales = _most_likely(means, variances, shares)
            joint = np.log(weights) + _expected_log_normal(means, variances, centres, scales)
            largest = joint.max(axis=1, keepdims=True)
            likely = np.exp(joint - largest)
            bound = float((np.log(likely.sum(axis=1)) + largest[:, 0]).mean())
            if bound - before < ENOUGH:
                break
            shares, before = likely / likely.sum(axis=1, keepdims=True), bound
    weights, centres, scales = (each.round(DECIMALS) for each in (weights, centres, scales))
    return weights / weights.sum(), centres, scales


def fit_by_class(means: Numbers, variances: Numbers, classes: NDArray[np.int64], count: int, seed: int) -> Mixture:
    """The mixture of those that :func:`fit` finds for the images of each of ``classes`` [n], in which all classes have
    the same weight: where a few images of one lie beside many of another, no component is of both. Of more classes than
    ``count`` several have one component."""
    number = np.unique(classes, return_inverse=True)[1]
    present = int(number.max()) + 1
    groups = min(present, count)
    of_groups = [number % groups == group for group in range(groups)]
    found = [fit(means[rows], variances[rows], count // groups, seed) for rows in of_groups]
    shares = np.bincount(np.arange(present) % groups) / present
    weights, centres, scales = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return weights * np.repeat(shares, [len(own) for own, _, _ in found]), centres, scales


def _most_likely(means: Numbers, variances: Numbers, shares: Numbers) -> Mixture:
    """Weights, means and scales of the components whose ``shares`` [n, K] of the images are given; those with less than
    one image between them are left out."""
    shares = shares[:, shares.sum(axis=0) >= 1]
    total = shares.sum(axis=0)
    centres = shares.T @ means / total[:, None]
    scales = np.empty((len(total), means.shape[1], means.shape[1]))
    for scale, centre, share, images in zip(scales, centres, shares.T, total, strict=True):
        apart = (means - centre) * np.sqrt(share)[:, None]
        covariance = (apart.T @ apart + np.diag(share @ variances)) / images
        scale[:] = np.linalg.cholesky(covariance + RIDGE * np.eye(len(centre)))
    return total / total.sum(), centres, scales


def _expected_log_normal(means: Numbers, variances: Numbers, centres: Numbers, scales: Numbers) -> Numbers:
    """E_q[log N(z; m, C)] [n, K], nats."""
    found = np.empty((len(means), len(centres)))
    for column, centre, scale in zip(found.T, centres, scales, strict=True):
        inverse = np.linalg.inv(scale)
        squares = ((means - centre) @ inverse.T) ** 2
        spread = variances @ (inverse**2).sum(axis=0)
        constant = np.log(np.diag(scale)).sum() + len(centre) / 2 * math.log(2 * math.pi)
        column[:] = -(squares.sum(axis=1) + spread) / 2 - constant
    return found
