"""Which latents of a VAE are used: active units, and the KL of each."""

import numpy as np
from numpy.typing import NDArray


def active_units(posterior_means: NDArray[np.floating], threshold: float = 0.01) -> int:
    """How many latents are active (:func:`are_active`)."""
    return int(are_active(posterior_means, threshold).sum())


def are_active(posterior_means: NDArray[np.floating], threshold: float = 0.01) -> NDArray[np.bool_]:
    """Whether the posterior mean E[z|x] of each latent varies over the images [n, latents] by more than ``threshold``
    (variance): [latents].

    Burda et al. 2016 (arXiv:1509.00519), section 5.2.
    """
    active: NDArray[np.bool_] = posterior_means.astype(np.float64).var(axis=0) > threshold
    return active


def kl_per_latent(
    means: NDArray[np.float64], deviations: NDArray[np.float64], standard: bool = True
) -> NDArray[np.float64]:
    """KL(q(z|x) ‖ p) of each latent, nats, mean over n images of q(z|x) = N(mean, deviation²) [n, latents]: [latents].

    p is N(0, 1) where the prior is ``standard``: the sum over the latents is then the rate. A learned prior does not
    have its latents apart; p is then the normal with mean and variance of the latent over all images, and the KL an
    upper bound on what the latent tells about x (its mutual information with x).
    """
    variances = deviations**2
    center = np.zeros(means.shape[1]) if standard else means.mean(axis=0)
    scale = np.ones(means.shape[1]) if standard else variances.mean(axis=0) + means.var(axis=0)
    each = 0.5 * ((variances + (means - center) ** 2) / scale - 1 - np.log(variances / scale))
    kl: NDArray[np.float64] = each.mean(axis=0)
    return kl
