"""A variational autoencoder: encoder pixels → q(z|x), decoder z → p(x|z), prior p(z).

Shapes: images [B, C, H, W] (binary for the Bernoulli likelihood, in [0, 1] for the others), latents z [B, L], labels
[B] whole numbers, where the model is conditional. Both directions return a ``torch.distributions`` object, so that an
objective needs to know neither the architecture nor the likelihood.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genbalance.models.vae.conv import conv_decoder, conv_encoder
from genbalance.models.vae.ladder import LadderDecoder, LadderEncoder, LadderPosterior, TopDown, layer_sizes
from genbalance.models.vae.likelihoods import LIKELIHOODS
from genbalance.models.vae.mlp import mlp_decoder, mlp_encoder
from genbalance.models.vae.multi_rate import BetaInput, modulate
from genbalance.models.vae.nvae import NvaeDecoder, NvaeEncoder, group_shapes
from genbalance.models.vae.posteriors import IndependentNormal, at_least_float32, normal_of
from genbalance.models.vae.priors import (
    GaussianMixture,
    PosteriorMixture,
    Prior,
    PseudoInputs,
    RealNvp,
    StandardNormal,
    even_noise,
)
from genbalance.params import (
    HIERARCHIES,
    BetaRange,
    Count,
    ImageShape,
    KlWeight,
    Latents,
    Likelihood,
    LogSigmaFloor,
    PriorName,
    VaeArch,
    VaeWidth,
    checked,
)

ARCHITECTURES = {"mlp": (mlp_encoder, mlp_decoder), "conv": (conv_encoder, conv_decoder)}
FLOW_PAIRS, FLOW_WIDTH = 3, 128  # of the learned prior
COMPONENTS = 40  # of the mixture
PRIORS: dict[str, Callable[[Sequence[int], int], StandardNormal | GaussianMixture | RealNvp | PseudoInputs]] = {
    "normal": lambda shape, latents: StandardNormal(),  # noqa: ARG005
    "mixture": lambda shape, latents: GaussianMixture(latents, COMPONENTS),  # noqa: ARG005
    "flow": lambda shape, latents: RealNvp(latents, FLOW_PAIRS, FLOW_WIDTH),  # noqa: ARG005
    "vamp": lambda shape, latents: PseudoInputs(shape),  # noqa: ARG005
}
EMBEDDING = 32  # numbers that give the decoder a label


class Vae(nn.Module):
    """Encoder, decoder and prior (Kingma & Welling 2014, arXiv:1312.6114).

    Args:
        arch: mlp, conv, ladder or nvae.
        likelihood: bernoulli, gaussian, gaussian_shared or logistic_mixture.
        shape: [C, H, W] of an image.
        latents: L; of a ladder those of all layers (:func:`genbalance.models.vae.ladder.layer_sizes`), of nvae about
            so many (:func:`genbalance.models.vae.nvae.group_shapes`).
        width: of the hidden layers; 16 times the most channels of convolutions, or, from 32 pixels a side on, 16 times
            those at half the side, which double with each halving up to four times as many. A ladder's state has half
            of it, nvae's a sixteenth as channels at half the side.
        log_sigma_floor: least log σ of a Gaussian.
        prior: normal, N(0, I); mixture, of normals that are fitted to q(z|x); flow or vamp, learned by gradients. A
            ladder takes normal or mixture, nvae normal: their other layers' priors are learned.
        classes: how many labels a conditional model knows, p(x|z, y) and q(z|x, y) (Sohn et al. 2015); 0: it is not
            conditional and takes no labels.
        beta_range: the least and the largest β that encoder and decoder know; None: they know none. Of mlp and conv.
        beta: between them, for which it encodes and decodes but within :meth:`at`.

    Attributes:
        latents: L, how many there are.
        outputs: numbers that the decoder makes of one z, of which p(x|z) is made.
        beta_range: as it was given.
        layers: how many latents each layer has, in their order in z; one layer but for a ladder or nvae.

    Raises:
        ValueError: the prior or the number of latents is not for such a model.
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
        beta_range: BetaRange | None = None,
        beta: KlWeight = 1.0,
    ) -> None:
        super().__init__()
        self.shape, self.latents, self.classes = shape, latents, classes
        self.beta_range = beta_range
        self.likelihood, self.observation = likelihood, LIKELIHOODS[likelihood](shape[0], log_sigma_floor)
        channels, height, wide = shape
        planes, known = (1, EMBEDDING) if classes else (0, 0)
        seen, made = [channels + planes, height, wide], [self.observation.outputs, height, wide]
        self.encoder: nn.Module
        self.decoder: nn.Module
        if arch in HIERARCHIES:
            if prior not in HIERARCHIES[arch]:
                raise ValueError(f"prior is {prior} with arch = {arch}; allowed: {' or '.join(HIERARCHIES[arch])}")
            if beta_range:
                raise ValueError(f"a beta_range with arch = {arch}; allowed: mlp or conv")
        if arch == "ladder":
            self.layers = layer_sizes(latents)
            self.encoder = LadderEncoder(seen, self.layers, width)
            self.decoder = LadderDecoder(made, self.layers, known, width)
        elif arch == "nvae":
            self.encoder = NvaeEncoder(seen, width // 16)
            self.decoder = NvaeDecoder(made[0], group_shapes(shape, latents), known, width // 16)
            self.layers = self.decoder.sizes
            self.latents = sum(self.layers)
        else:
            build_encoder, build_decoder = ARCHITECTURES[arch]
            self.encoder = build_encoder(seen, 2 * latents, width)
            self.decoder = build_decoder(made, latents + known, width)
            self.layers = [latents]
        self.outputs = self.observation.outputs * height * wide
        self.standard_prior = prior == "normal"
        self.prior = PRIORS[prior](shape, latents)
        self.beta_input = BetaInput(beta_range, beta) if beta_range else None
        if self.beta_input is not None:
            self.encoder, self.decoder = (modulate(each, self.beta_input) for each in (self.encoder, self.decoder))
        if classes:
            self.seen_label = nn.Embedding(classes, height * wide)  # a plane beside the pixels
            self.wanted_label = nn.Embedding(classes, EMBEDDING)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> IndependentNormal | LadderPosterior:
        """q(z|x): a normal of batch shape [B, L], or, of a ladder or nvae, one that is normal layer by layer."""
        found = self._encoded(images, labels)
        if isinstance(self.decoder, TopDown):
            known = None if labels is None else self.wanted_label(labels)
            return LadderPosterior(self.decoder, self._observed, found, known)
        return normal_of(found)

    def _encoded(self, images: Tensor, labels: Tensor | None) -> Any:
        if labels is not None:
            images = torch.cat([images, self.seen_label(labels).view(-1, 1, *self.shape[1:])], dim=1)
        return self.encoder(images)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Distribution:
        """p(x|z): of each value, batch shape [B, C, H, W], or of whole images, batch shape [B]."""
        if labels is not None:
            latents = torch.cat([latents, self.wanted_label(labels)], dim=1)
        return self._observed(self.decoder(latents))

    def _observed(self, outputs: Tensor) -> Distribution:
        """p(x|z) of what the decoder makes of z, which may be larger than an image."""
        decoded: Distribution = self.observation(at_least_float32(outputs[..., : self.shape[1], : self.shape[2]]))
        return decoded

    def at(self, beta: float | Tensor) -> AbstractContextManager[None]:
        """Within it a model of a ``beta_range`` encodes and decodes for this β, a number or one an image [B]; another
        model is the same for each."""
        return nullcontext() if self.beta_input is None else self.beta_input.at(beta)

    def log_prior(self, latents: Tensor) -> Tensor:
        """Log p(z), nats, of latents [..., L]."""
        prior = self._prior()
        with torch.autocast(latents.device.type, enabled=False):  # a sum of nats wants all its digits
            return prior.log_prob(latents)

    def noise(self, count: int, chance: torch.Generator) -> Tensor:
        """Standard normal noise [count, L] for samples, on the device of ``chance``; of a mixture it chooses the
        components evenly (:func:`genbalance.models.vae.priors.even_noise`)."""
        if isinstance(self.prior, GaussianMixture | PseudoInputs):
            return even_noise(count, self.latents, chance)
        return torch.randn(count, self.latents, generator=chance, device=chance.device)

    def draw_prior(self, noise: Tensor) -> Tensor:
        """z ~ p(z) out of standard normal ``noise``, both [B, L]."""
        return self._prior().draw(noise)

    def _prior(self) -> Prior:
        if not isinstance(self.prior, PseudoInputs):
            return self.prior
        images = self.prior()
        # p(z) is one mixture whatever the label, of images that the encoder sees as of all classes in turn
        labels = torch.arange(len(images), device=images.device) % self.classes if self.classes else None
        return PosteriorMixture(normal_of(self._encoded(images, labels)))

    def sides(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """What belongs to q(z|x), and what belongs to p(x, z), together all of the network. A ladder's or nvae's
        decoder, which belongs to both, is among the latter."""
        inference, generation = [self.encoder], [self.decoder, self.observation, self.prior]
        if self.beta_input is not None:
            generation.append(self.beta_input)
        if self.classes:
            inference.append(self.seen_label)
            generation.append(self.wanted_label)
        return nn.ModuleList(inference), nn.ModuleList(generation)

    def sample(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean images of p(x|z), [B, C, H, W] in [0, 1], at z ~ p(z) out of standard normal ``noise`` [B, L]."""
        images: Tensor = self.decode(self.draw_prior(noise), labels).mean
        return images
