"""A mixture of normals, fitted to the codes of training images, as the prior of a VAE."""

import warnings

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Numbers = NDArray[np.float64]

MOST = 20_000  # codes that it is fitted to, at most
DRAWS = 4  # codes of each image where there are few images, at most
STEPS = 100  # of EM, at most
RIDGE = 1e-3  # added to the diagonal of each covariance
DECIMALS = 4  # of the fitted numbers that are kept: other processors differ in later ones
EACH = 5  # codes of a component, at least


def fit(codes: NDArray[np.floating], count: int, seed: int) -> tuple[Numbers, Numbers, Numbers]:
    """The mixture that makes ``codes`` z ~ q(z|x) [n, L] most likely, by expectation-maximization (Dempster et al.
    1977) from k-means on.

    Codes of all images together, the aggregate posterior, lie where a decoder was trained; samples of N(0, I) lie also
    where it was not (ex-post density estimation: Ghosh et al. 2020, arXiv:1903.12436, section 4). Of all priors the
    aggregate posterior has the least rate (Tomczak & Welling 2018, arXiv:1705.07120, section 2).

    Args:
        codes: of the training images.
        count: of the components; fewer where there are few codes.
        seed: of the start.

    Returns:
        Weights [K], means [K, L] and scales [K, L, L], lower triangular: the covariances are scale · scaleᵀ.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    used = min(count, max(1, len(codes) // EACH))
    mixture = GaussianMixture(used, reg_covar=RIDGE, max_iter=STEPS, init_params="k-means++", random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(codes.astype(np.float64))
    weights, means, scales = (
        each.round(DECIMALS) for each in (mixture.weights_, mixture.means_, np.linalg.cholesky(mixture.covariances_))
    )
    return weights / weights.sum(), means, scales
