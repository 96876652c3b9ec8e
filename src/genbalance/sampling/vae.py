"""How a VAE draws images, and what an ONNX file holds of it."""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from genbalance.data.pixels import UNIT
from genbalance.evaluation.features import block_of, in_blocks
from genbalance.losses.vae import binarize
from genbalance.models.vae import Vae
from genbalance.runtime.device import download, upload
from genbalance.sampling.sampler import Condition, Controls, Drawing, Images, Input, sample_labels


@dataclass(frozen=True)
class VaeSampler:
    """Mean images of p(x|z), z ~ p(z)."""

    vae: Vae

    @property
    def classes(self) -> int:
        """How many classes it can be conditioned on; 0: none."""
        return self.vae.classes

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.vae.latents

    @property
    def controls(self) -> Controls:
        """Its β, where it knows a range of them, its encoder, and draws of p(x|z), where values are independent."""
        betas = None
        if self.vae.beta_range and self.vae.beta_input is not None:
            low, high = self.vae.beta_range
            betas = low, high, float(self.vae.beta_input.beta)
        observe = None if self.vae.likelihood == "logistic_mixture" else self._observe
        return Controls(betas=betas, at=self._at, observe=observe, encode=self._encode)

    def _at(self, truncation: float | None, beta: float | None) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext() if beta is None else self.vae.at(beta)

    def _observe(self, z: Tensor, condition: Condition, noise: torch.Generator) -> Images:
        def drawn(*given: Tensor) -> Tensor:
            decoded = self.vae.decode(*given)
            if isinstance(decoded, Bernoulli):
                uniform = torch.rand(decoded.mean.shape, generator=noise, device=noise.device)
                return binarize(decoded.mean, uniform)
            normal = torch.randn(decoded.mean.shape, generator=noise, device=noise.device)
            return decoded.mean + decoded.stddev * normal

        return download(in_blocks(drawn, z, condition, values=self.vae.outputs), UNIT)

    def _encode(self, images: Images, labels: Condition, noise: torch.Generator) -> Tensor:
        seen = upload(images, UNIT, noise.device)
        if self.vae.likelihood == "bernoulli":
            seen = binarize(seen, torch.rand(seen.shape, generator=noise, device=noise.device))
        return in_blocks(lambda *given: self.vae.encode(*given).mean, seen, labels)

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Condition]:
        """Latents of the prior, and labels."""
        rows = block_of(count, self.latent_dim**2)  # a mixture takes a matrix for each
        z = torch.cat([self.vae.draw_prior(some) for some in self.vae.noise(count, noise).split(rows)])
        return z, sample_labels(self.classes, digit, count, noise)

    def images(self, z: Tensor, condition: Condition) -> Images:
        """The decoder's mean images."""
        decode = in_blocks(lambda *given: self.vae.decode(*given).mean, z, condition, values=self.vae.outputs)
        return download(decode, UNIT)

    def between(self, z: Tensor, ends: Condition, shares: Tensor) -> Images:
        """Images between two labels: their embeddings are mixed."""
        if ends is None:
            return self.images(z, None)
        first, second = self.vae.wanted_label(ends).detach()
        mixing = deepcopy(self.vae)
        mixing.wanted_label = nn.Embedding.from_pretrained(torch.lerp(first, second, shares[:, None]))
        return VaeSampler(mixing).images(z, torch.arange(len(z), device=z.device))


class _Decoder(nn.Module):
    """Prior and decoder."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.vae.sample(noise, labels)


def vae_drawing(vae: Vae) -> Drawing:
    """The decoder behind the prior, also a learned one.

    Inputs: ``noise`` float32 [B, L], standard normal; of a conditional model ``labels`` int64 [B].
    """
    inputs = {"noise": Input.normal(vae.latents, 1.0)}
    if vae.classes:
        inputs["labels"] = Input.categorical(probabilities=[1 / vae.classes] * vae.classes, means="class")
    return Drawing(_Decoder(vae), vae.classes, inputs)
