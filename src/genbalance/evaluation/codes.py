"""What an encoder makes of images: their codes, for the probe, the map, the comparison with the prior, and how far they
tell known factors apart.

``encode`` maps images [B, C, H, W], and labels [B] of a conditional model, to q(z|x), which has a ``mean`` [B, L] and
draws ``latents`` out of standard normal noise [B, L].
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.evaluation.dci import dci
from genbalance.evaluation.factorvae import factor_vae_score
from genbalance.evaluation.features import in_blocks
from genbalance.evaluation.latents import are_active
from genbalance.evaluation.lda import discriminant_map
from genbalance.evaluation.mig import mutual_information_gap
from genbalance.evaluation.mmd import prior_discrepancy
from genbalance.evaluation.sap import separated_attribute_predictability
from genbalance.runtime.device import Uploaded

PROBED = 10_000  # training images whose codes the linear probe learns from, at most
CODES = 5_000  # test images whose codes are compared with the prior, at most
DECOMPOSED = 2_000  # test images whose posteriors' KL is split into its terms, at most
MAPPED = 2_000  # test images whose codes are shown, at most

Encode = Callable[..., Any]
Codes = NDArray[np.floating]
Labels = NDArray[np.int64]
Factors = NDArray[np.int64]


def posterior_means(encode: Encode, images: Uploaded, labels: Tensor | None) -> Codes:
    """E[z|x] of images [n, C, H, W]: [n, L]; of a ladder or nvae where the layers above take their means."""
    means: Codes = in_blocks(lambda *given: encode(*given).mean, images, labels).numpy()
    return means


def posterior_normals(encode: Encode, images: Uploaded, labels: Tensor | None) -> tuple[Codes, Codes]:
    """The means and deviations of q(z|x) of images [n, C, H, W], whose latents are independent: both [n, L]."""

    def moments(*given: Tensor) -> Tensor:
        posterior = encode(*given)
        return torch.stack([posterior.mean, posterior.stddev], dim=1)

    means, deviations = in_blocks(moments, images, labels).numpy().swapaxes(0, 1)
    return means, deviations


def posterior_draws(
    encode: Encode, images: Uploaded, labels: Tensor | None, latents: int, noise: torch.Generator
) -> Codes:
    """One z ~ q(z|x) for each of images [n, C, H, W]: [n, L], L = ``latents``."""

    def draw(*given: Tensor) -> Tensor:
        chance = torch.randn(len(given[0]), latents, generator=noise, device=given[0].device)
        drawn: Tensor = encode(*given).draw(chance).latents
        return drawn

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
    [n, L], or on their two principal components where they are not of two classes, and its ``class``."""
    several = len(np.unique(train_labels)) > 1
    x, y = (discriminant_map(train, train_labels, codes) if several else principal_map(train, codes)).T
    return pd.DataFrame({"x": x, "y": y, "class": labels})


def principal_map(train: Codes, codes: Codes) -> NDArray[np.float64]:
    """The ``codes`` [m, L] on the two principal components of others [n, L], the directions in which these vary most:
    [m, 2]. Of one latent there is one, and the second axis is zero."""
    from sklearn.decomposition import PCA

    axes = min(2, *train.shape)
    placed = PCA(axes, svd_solver="full").fit(train.astype(np.float64)).transform(codes.astype(np.float64))
    plane: NDArray[np.float64] = np.pad(placed, ((0, 0), (0, 2 - axes)))
    return plane


def disentanglement(
    train_codes: Codes, train_factors: Factors, test_codes: Codes, test_factors: Factors, rng: np.random.Generator
) -> dict[str, float]:
    """``mig``, ``sap``, ``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness`` and
    ``factor_vae_score``, each in [0, 1], higher is better.

    An inactive latent (:func:`are_active`) counts as constant: where E[z|x] hardly moves, q(z|x) is the prior, and z
    tells nothing of x, although E[z|x] may.

    Args:
        train_codes: E[z|x] [n, L], that classifiers learn from, and DCI's importances are of.
        train_factors: [n, K].
        test_codes: [m, L], of which MIG and the accuracies are.
        test_factors: [m, K]. Factors that have one value here or in ``train_factors`` are left out.
        rng: draws what is drawn.

    Raises:
        ValueError: no factor varies.
    """
    varies = (np.ptp(train_factors, axis=0) > 0) & (np.ptp(test_factors, axis=0) > 0)
    if not varies.any():
        rows = f"{len(train_factors)} training and {len(test_factors)} test rows"
        raise ValueError(f"none of {len(varies)} factors varies over {rows}")
    active = are_active(train_codes)
    known = (np.where(active, train_codes, 0), train_factors[:, varies])
    measured = (np.where(active, test_codes, 0), test_factors[:, varies])
    return {
        "mig": mutual_information_gap(*measured),
        "sap": separated_attribute_predictability(*known, *measured),
        **dci(*known, *measured, rng),
        "factor_vae_score": factor_vae_score(*known, *measured, rng),
    }
