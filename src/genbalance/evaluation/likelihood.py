"""The importance-weighted bound on −log p(x) of a model with an encoder and a decoder."""

import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence, Sized
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Bernoulli, Distribution
from tqdm import tqdm

from genbalance.evaluation.features import block_of
from genbalance.losses.vae import Posterior
from genbalance.runtime.arithmetic import exp, log
from genbalance.runtime.device import Uploaded

ROWS = 500  # images × draws at a time, at most: bounds the memory
LOG_TWO_PI = math.log(2 * math.pi)
SILENCE = 60.0  # seconds between two lines on stderr where there is no terminal
FACTORS = 64  # of at most 2 each: their product stays within float32


B = TypeVar("B", bound=Sized)


class Autoencoder(Protocol):
    """What the bound needs of a model."""

    @property
    def outputs(self) -> int:
        """Numbers that the decoder makes of one z."""

    @property
    def latents(self) -> int:
        """L."""

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Posterior:
        """q(z|x)."""

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Distribution:
        """p(x|z), batch shape [B, C, H, W], or [B] with event shape [C, H, W]."""

    def log_prior(self, latents: Tensor) -> Tensor:
        """log p(z) of latents [..., latents]: [...]."""


def importance_weighted_bound(
    model: Autoencoder, images: Uploaded, draws: int, noise: torch.Generator, labels: Tensor | None = None
) -> NDArray[np.float64]:
    """−L_k(x) = −log 1/k Σ p(x|z_i) p(z_i) / q(z_i|x), z_i ~ q(z|x), nats, for each image [n, C, H, W]: [n].

    Burda et al. 2016 (arXiv:1509.00519), equation 8, with k ``draws``. In expectation an upper bound on −log p(x) that
    falls with k; k = 1 is the negative ELBO. Binary images for a Bernoulli decoder: the caller draws them. With
    ``labels`` [n] of a conditional model it bounds −log p(x|y).
    """
    rows = block_of(ROWS, model.outputs)
    at_once = max(1, rows // draws)
    with torch.inference_mode():
        of_blocks = labels.split(at_once) if labels is not None else itertools.repeat(None)
        blocks = zip(watched(images.split(at_once), "−log p(x)"), of_blocks, strict=False)
        bounds = [_bounds(model, block, draws, rows, noise, known) for block, known in blocks]
    return torch.cat(bounds).cpu().numpy()


def _bounds(
    model: Autoencoder, images: Tensor, draws: int, rows: int, noise: torch.Generator, labels: Tensor | None
) -> Tensor:
    """The bound of a block of images, ``rows`` of its draws at a time; sums of exponentials in float64."""
    posterior = model.encode(images, labels)
    total = torch.full((len(images),), -torch.inf, dtype=torch.float64, device=images.device)
    for first in range(0, draws, rows):
        count = min(rows, draws - first)
        epsilon = torch.randn(count, len(images), model.latents, generator=noise, device=images.device)
        drawn = posterior.draw(epsilon)
        wanted = labels.repeat(count) if labels is not None else None
        decoded = drawn.decoded or model.decode(drawn.latents.flatten(0, 1), wanted)
        log_likelihood = _log_likelihood(decoded, images, count)
        log_deviation = log(drawn.conditional.stddev).sum(dim=-1)
        minus_log_posterior = (epsilon.square() + LOG_TWO_PI).div(2).sum(dim=2) + log_deviation
        log_ratio = model.log_prior(drawn.latents) + minus_log_posterior
        total = torch.logaddexp(total, torch.logsumexp((log_likelihood + log_ratio).double(), dim=0))
    return math.log(draws) - total


def _log_likelihood(decoded: Distribution, images: Tensor, draws: int) -> Tensor:
    """log p(x|z) summed over the pixels, [draws, n], of ``decoded`` with draws · n rows."""
    if isinstance(decoded, Bernoulli):
        return _log_bernoulli(decoded.logits.reshape(draws, len(images), -1), images.flatten(1))
    # one image is broadcast over its draws; several are repeated in the order of the draws
    seen = images if len(images) == 1 else images.repeat(draws, 1, 1, 1)
    each: Tensor = decoded.log_prob(seen)
    return (each if decoded.event_shape else each.flatten(1).sum(dim=1)).view(draws, len(images))


def _log_bernoulli(logits: Tensor, images: Tensor) -> Tensor:
    """Σ x·l − log(1 + eˡ) over the pixels [n, pixels] of logits [draws, n, pixels]: [draws, n].

    log(1 + eˡ) = max(l, 0) + log(1 + e^−|l|). Σ log(1 + e^−|l|) is taken as the logarithm of a product, a few pixels at
    a time: a logarithm for each pixel would cost as much as the decoder's own products.
    """
    nats = logits.clamp(min=0).addcmul_(logits, images, value=-1).sum(dim=2)
    for factors in exp(logits.abs().neg_()).add_(1).split(FACTORS, dim=2):
        nats += factors.prod(dim=2).sub_(1).log1p_()
    return -nats


def watched(blocks: Sequence[B], label: str) -> Iterator[B]:
    """The blocks, one by one, while stderr shows how many of their images are done and how long the others take: as a
    bar on a terminal, as a line now and then elsewhere.

    Args:
        blocks: of images, all at hand.
        label: what is being measured.
    """
    total, done = sum(len(block) for block in blocks), 0
    begun = printed = time.monotonic()
    terminal = sys.stderr.isatty()
    with tqdm(total=total, desc=label, unit=" images", dynamic_ncols=True, disable=not terminal) as bar:
        for block in blocks:
            yield block
            done += len(block)
            bar.update(len(block))
            now = time.monotonic()
            if not terminal and now - printed >= SILENCE and done < total:
                printed, left = now, (now - begun) / done * (total - done)
                print(
                    f"{label}: {done:,} of {total:,} images, {tqdm.format_interval(left)} left",
                    file=sys.stderr,
                    flush=True,
                )
