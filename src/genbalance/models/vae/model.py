"""A variational autoencoder: encoder pixels → q(z|x), decoder z → p(x|z), prior p(z).

Shapes: images [B, C, H, W] (binary for the Bernoulli likelihood, in [0, 1] for the others), latents z [B, L], labels
[B] whole numbers, where the model is conditional. Both directions return a ``torch.distributions`` object, so that an
objective needs to know neither the architecture nor the likelihood.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn.functional import softplus

from genbalance.models.vae.conv import conv_decoder, conv_encoder
from genbalance.models.vae.likelihoods import LIKELIHOODS
from genbalance.models.vae.mlp import mlp_decoder, mlp_encoder
from genbalance.models.vae.priors import Prior, RealNvp, StandardNormal
from genbalance.params import (
    Count,
    ImageShape,
    Latents,
    Likelihood,
    LogSigmaFloor,
    PriorName,
    VaeArch,
    VaeWidth,
    checked,
)
from genbalance.runtime.arithmetic import exp

LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -30.0, 14.0  # of q(z|x), far beyond use: exp() stays within float32
ARCHITECTURES = {"mlp": (mlp_encoder, mlp_decoder), "conv": (conv_encoder, conv_decoder)}
FLOW_PAIRS, FLOW_WIDTH = 3, 128  # of the learned prior
EMBEDDING = 32  # numbers that give the decoder a label


class Vae(nn.Module):
    """Encoder, decoder and prior (Kingma & Welling 2014, arXiv:1312.6114).

    Args:
        arch: mlp or conv.
        likelihood: bernoulli, gaussian, gaussian_shared or logistic_mixture.
        shape: [C, H, W] of an image.
        latents: L.
        width: of the hidden layers; 16 times the most channels of convolutions, or, from 32 pixels a side on, 16 times
            those at half the side, which double with each halving up to four times as many.
        log_sigma_floor: least log σ of a Gaussian.
        prior: normal, N(0, I), or flow, learned.
        classes: how many labels a conditional model knows, p(x|z, y) and q(z|x, y) (Sohn et al. 2015); 0: it is not
            conditional and takes no labels.

    Attributes:
        outputs: numbers that the decoder makes of one z, of which p(x|z) is made.
    """

    @checked
    def __init__(
        self,
        arch: VaeArch,
        likelihood: Likelihood,
        shape: ImageShape,
        latents: Latents,
        width: VaeWidth,
        log_sigma_floor: LogSigmaFloor,
        prior: PriorName = "normal",
        classes: Count = 0,
    ) -> None:
        super().__init__()
        self.shape, self.latents, self.classes = shape, latents, classes
        self.likelihood, self.observation = likelihood, LIKELIHOODS[likelihood](shape[0], log_sigma_floor)
        build_encoder, build_decoder = ARCHITECTURES[arch]
        channels, height, wide = shape
        planes, known = (1, EMBEDDING) if classes else (0, 0)
        self.encoder = build_encoder([channels + planes, height, wide], 2 * latents, width)
        self.decoder = build_decoder([self.observation.outputs, height, wide], latents + known, width)
        self.outputs = self.observation.outputs * height * wide
        self.standard_prior = prior == "normal"
        self.prior: Prior = StandardNormal() if self.standard_prior else RealNvp(latents, FLOW_PAIRS, FLOW_WIDTH)
        if classes:
            self.seen_label = nn.Embedding(classes, height * wide)  # a plane beside the pixels
            self.wanted_label = nn.Embedding(classes, EMBEDDING)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Normal:
        """q(z|x): a normal of batch shape [B, L]."""
        if labels is not None:
            images = torch.cat([images, self.seen_label(labels).view(-1, 1, *self.shape[1:])], dim=1)
        mean, log_variance = _at_least_float32(self.encoder(images)).chunk(2, dim=1)
        # softplus bounds, which a gradient leads back from
        log_variance = LARGEST_LOG_VARIANCE - softplus(LARGEST_LOG_VARIANCE - log_variance)
        log_variance = LEAST_LOG_VARIANCE + softplus(log_variance - LEAST_LOG_VARIANCE)
        return Normal(mean, exp(log_variance.div(2)), validate_args=False)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Distribution:
        """p(x|z): of each value, batch shape [B, C, H, W], or of whole images, batch shape [B]."""
        if labels is not None:
            latents = torch.cat([latents, self.wanted_label(labels)], dim=1)
        outputs = self.decoder(latents)[..., : self.shape[1], : self.shape[2]]
        decoded: Distribution = self.observation(_at_least_float32(outputs))
        return decoded

    def log_prior(self, latents: Tensor) -> Tensor:
        """Log p(z), nats, of latents [..., L]."""
        with torch.autocast(latents.device.type, enabled=False):  # a sum of nats wants all its digits
            return self.prior.log_prob(latents)

    def sides(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """What belongs to q(z|x), and what belongs to p(x, z): together all of the network."""
        inference, generation = [self.encoder], [self.decoder, self.observation, self.prior]
        if self.classes:
            inference.append(self.seen_label)
            generation.append(self.wanted_label)
        return nn.ModuleList(inference), nn.ModuleList(generation)

    def sample(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean images of p(x|z), [B, C, H, W] in [0, 1], at z ~ p(z) out of standard normal ``noise`` [B, L]."""
        images: Tensor = self.decode(self.prior.draw(noise), labels).mean
        return images


def _at_least_float32(outputs: Tensor) -> Tensor:
    """What a network computed in half precision goes on in float32, where sums over pixels are taken."""
    return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
