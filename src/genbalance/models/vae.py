"""Encoders pixels → q(z|x) and decoders z → p(x|z), as perceptrons and as convolutions.

Shapes: images [B, 1, S, S] (binary for the Bernoulli likelihood, in [0, 1] for the Gaussian), latents z [B, latents].
Both directions return a ``torch.distributions`` object, so that an objective needs to know neither the architecture nor
the likelihood.
"""

import itertools

from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import softplus

LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -30.0, 14.0  # of q(z|x), far beyond use: exp() stays within float32


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers)


def _mlp(size: int, latents: int, width: int, channels: int) -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Flatten(), _perceptron(size * size, width, width), nn.Linear(width, 2 * latents))
    decoder = nn.Sequential(
        _perceptron(latents, width, width),
        nn.Linear(width, channels * size * size),
        nn.Unflatten(1, (channels, size, size)),
    )
    return encoder, decoder


def _conv(size: int, latents: int, width: int, channels: int) -> tuple[nn.Module, nn.Module]:
    first, second, side = width // 16, width // 8, -(-size // 4)
    encoder = nn.Sequential(
        nn.Conv2d(1, first, 3, 2, padding=1),
        nn.SiLU(inplace=True),
        nn.Conv2d(first, second, 3, 2, padding=1),
        nn.SiLU(inplace=True),
        nn.Flatten(),
        _perceptron(second * side**2, width),
        nn.Linear(width, 2 * latents),
    )
    decoder = nn.Sequential(
        _perceptron(latents, width, second * side**2),
        nn.Unflatten(1, (second, side, side)),
        nn.ConvTranspose2d(second, first, 4, 2, padding=1),
        nn.SiLU(inplace=True),
        nn.ConvTranspose2d(first, channels, 4, 2, padding=1),
    )
    return encoder, decoder


class Vae(nn.Module):
    """Encoder and decoder of a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

    def __init__(self, arch: str, likelihood: str, size: int, latents: int, width: int, log_sigma_floor: float) -> None:
        super().__init__()
        self.size, self.latents = size, latents
        self.likelihood, self.log_sigma_floor = likelihood, log_sigma_floor
        channels = 1 if likelihood == "bernoulli" else 2
        self.encoder, self.decoder = (_mlp if arch == "mlp" else _conv)(size, latents, width, channels)

    def encode(self, images: Tensor) -> Normal:
        """q(z|x): a normal of batch shape [B, latents]."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        # softplus bounds, which a gradient leads back from
        log_variance = LARGEST_LOG_VARIANCE - softplus(LARGEST_LOG_VARIANCE - log_variance)
        log_variance = LEAST_LOG_VARIANCE + softplus(log_variance - LEAST_LOG_VARIANCE)
        return Normal(mean, log_variance.div(2).exp(), validate_args=False)

    def decode(self, latents: Tensor) -> Distribution:
        """p(x|z), a distribution over each pixel, batch shape [B, 1, S, S].

        Bernoulli, or x = μ(z) + σ(z)·ε with μ in (0, 1) and log σ above its floor: without one the likelihood grows
        without bound on pixels that never change.
        """
        # an odd side is doubled to one pixel too many
        outputs = self.decoder(latents)[..., : self.size, : self.size]
        if self.likelihood == "bernoulli":
            return Bernoulli(logits=outputs, validate_args=False)
        mean, raw = outputs.chunk(2, dim=1)
        log_sigma = self.log_sigma_floor + softplus(raw - self.log_sigma_floor)
        return Normal(mean.sigmoid(), log_sigma.exp(), validate_args=False)
