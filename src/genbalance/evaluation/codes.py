"""What an encoder makes of images: their codes, for the probe, the map and the comparison with the prior.

``encode`` maps images [B, 1, S, S], and labels [B] of a conditional model, to q(z|x) of batch shape [B, L].
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from genbalance.evaluation.features import in_blocks
from genbalance.evaluation.lda import discriminant_map
from genbalance.evaluation.mmd import prior_discrepancy

PROBED = 10_000  # training images whose codes the linear probe learns from, at most
CODES = 5_000  # test images whose codes are compared with the prior, at most
MAPPED = 2_000  # test images whose codes are shown, at most

Encode = Callable[..., Normal]
Codes = NDArray[np.floating]
Labels = NDArray[np.int64]


def posterior_means(encode: Encode, images: Tensor, labels: Tensor | None) -> Codes:
    """E[z|x] of images [n, 1, S, S]: [n, L]."""
    means: Codes = in_blocks(lambda *given: encode(*given).mean, images, labels).numpy()
    return means


def posterior_draws(encode: Encode, images: Tensor, labels: Tensor | None, noise: torch.Generator) -> Codes:
    """One z ~ q(z|x) for each of images [n, 1, S, S]: [n, L]."""

    def draw(*given: Tensor) -> Tensor:
        posterior = encode(*given)
        chance = torch.randn(posterior.mean.shape, generator=noise, device=posterior.mean.device)
        return posterior.mean + posterior.stddev * chance

    codes: Codes = in_blocks(draw, images, labels).numpy()
    return codes


def against_prior(
    codes: Codes, draw_prior: Callable[[Tensor], Tensor], noise: torch.Generator, device: torch.device
) -> dict[str, float]:
    """``prior_discrepancy`` of ``codes`` z ~ q(z|x) [n, L] from as many draws of the prior, and its ``_floor``, that of
    other draws of the prior.

    Args:
        codes: of as many images.
        draw_prior: makes z ~ p(z) out of standard normal noise [B, L].
        noise: on the CPU.
        device: of the prior.
    """
    first, second = (
        in_blocks(draw_prior, half).numpy() for half in torch.randn(2, *codes.shape, generator=noise).to(device)
    )
    return {
        "prior_discrepancy": prior_discrepancy(codes, first),
        "prior_discrepancy_floor": prior_discrepancy(second, first),
    }


def code_map(train: Codes, train_labels: Labels, codes: Codes, labels: Labels) -> pd.DataFrame:
    """A row for each of ``codes`` [m, L]: its place ``x``, ``y`` on the two discriminants of the ``train`` codes
    [n, L], and its ``class``."""
    x, y = discriminant_map(train, train_labels, codes).T
    return pd.DataFrame({"x": x, "y": y, "class": labels})
