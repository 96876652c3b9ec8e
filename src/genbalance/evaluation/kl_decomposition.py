"""What the KL of a VAE is made of: what codes tell of the image, how latents depend on each other, and how far each one
is from its prior."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

PAIRS = 2**17  # of draws and posteriors at a time, at most: 1 MiB for each array of them

Latents = NDArray[np.floating]


@dataclass(frozen=True)
class KlDecomposition:
    """The three terms, nats per image, and their sum: KL(q(z|x) ‖ N(0, I)), estimated at the same draws.

    Attributes:
        index_code_mi: I(x; z), at most log n: a code cannot tell more of one image among n.
        total_correlation: KL(q(z) ‖ Π q(z_j)); 0 where the latents are independent of one another.
        dimension_wise_kl: Σ KL(q(z_j) ‖ N(0, 1)).
    """

    index_code_mi: float
    total_correlation: float
    dimension_wise_kl: float


def kl_decomposition(means: Latents, deviations: Latents, noise: Latents) -> KlDecomposition:
    """E KL(q(z|x) ‖ p(z)) = I(x; z) + KL(q(z) ‖ Π q(z_j)) + Σ KL(q(z_j) ‖ p(z_j)), p(z) = N(0, I), of n images.

    Chen et al. 2018 (arXiv:1802.04942), equation 2. q(z) = 1/n Σ q(z|x_m) is the aggregate posterior of just these
    images, so that log q(z) and log q(z_j) are exact, with no weights for a minibatch; the expectation is the mean over
    one draw z = μ + σ·ε for each image. The first two terms do not depend on the prior; none of them is below 0 but
    by chance. For a conditional model the index is the image with its label, and q(z|x, y) its posterior.

    With few images I(x; z) reaches log n as soon as hardly any posteriors overlap; more than that the KL has in the
    other two terms. Time grows with n² · L.

    Args:
        means: μ of q(z|x) = N(μ, σ²), latents independent given the image, [n, L].
        deviations: σ > 0 [n, L].
        noise: ε, standard normal [n, L].

    Raises:
        ValueError: the shapes differ, or there is no image.
    """
    if not (means.shape == deviations.shape == noise.shape and means.ndim == 2 and len(means)):
        shapes = ", ".join(str(each.shape) for each in (means, deviations, noise))
        raise ValueError(f"means, deviations and noise have the shapes {shapes}; allowed: [n, L], all the same, n ≥ 1")
    mean, deviation, epsilon = (torch.from_numpy(each.astype(np.float64)) for each in (means, deviations, noise))
    z, log_deviation = mean + deviation * epsilon, deviation.log()
    rows = max(1, PAIRS // len(z))
    blocks = [_log_aggregate(block, mean, deviation, log_deviation) for block in z.split(rows)]
    log_joint, log_marginals = (torch.cat(column) for column in zip(*blocks, strict=True))
    log_posterior = (_log_normal(epsilon) - log_deviation).sum(dim=1)
    return KlDecomposition(
        float((log_posterior - log_joint).mean()),
        float((log_joint - log_marginals).mean()),
        float((log_marginals - _log_normal(z).sum(dim=1)).mean()),
    )


def _log_aggregate(
    z: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor, log_deviation: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log q(z) and Σ log q(z_j) of ``z`` [b, L], each [b], over n posteriors [n, L]; one latent at a time, so that
    [b, n] and not [b, n, L] is in memory."""
    joint, marginals = z.new_zeros(len(z), len(mean)), z.new_zeros(len(z))
    for j in range(z.shape[1]):
        each = _log_normal((z[:, j, None] - mean[:, j]) / deviation[:, j]) - log_deviation[:, j]
        joint += each
        marginals += each.logsumexp(dim=1)
    log_n = math.log(len(mean))
    return joint.logsumexp(dim=1) - log_n, marginals - z.shape[1] * log_n


def _log_normal(z: torch.Tensor) -> torch.Tensor:
    """log N(z; 0, 1) of each number."""
    return (z.square() + math.log(2 * math.pi)).div(-2)
