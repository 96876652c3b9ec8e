"""The MMD of the aggregate posterior, all codes of an encoder together, from the prior that samples are drawn from."""

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.neighbours import blocks

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

Codes = NDArray[np.floating]


def prior_discrepancy(codes: Codes, prior: Codes) -> float:
    """The unbiased MMD² between draws of the aggregate posterior and of the prior, both [n, latents].

    The sum of inverse multiquadratic kernels k(x, y) = C/(C + ‖x − y‖²) with C = 2·latents·s over seven scales s, as
    Tolstikhin et al. 2018 (arXiv:1711.01558) compare with a standard normal prior. Zero in expectation for
    equal distributions, so chance may take it below zero.
    """
    latents = codes.shape[1]
    within = [_kernel_sum(x, x, latents) - len(SCALES) * len(x) for x in (codes, prior)]
    pairs = [len(x) * (len(x) - 1) for x in (codes, prior)]
    between = _kernel_sum(codes, prior, latents) / (len(codes) * len(prior))
    return within[0] / pairs[0] + within[1] / pairs[1] - 2 * between


def _kernel_sum(a: Codes, b: Codes, latents: int) -> float:
    total = 0.0
    for _, block in blocks(a, b):
        for scale in SCALES:
            constant = 2.0 * latents * scale
            total += float((constant / (block + constant)).sum())
    return total
