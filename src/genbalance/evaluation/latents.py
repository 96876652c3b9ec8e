"""What a VAE's latents carry."""

import numpy as np
from numpy.typing import NDArray


def active_units(posterior_means: NDArray[np.floating], threshold: float = 0.01) -> int:
    """Latents whose posterior mean E[z|x] varies over the images [n, latents] by more than ``threshold`` (variance).

    Burda et al. 2016 (arXiv:1509.00519), section 5.2.
    """
    return int((posterior_means.astype(np.float64).var(axis=0) > threshold).sum())
