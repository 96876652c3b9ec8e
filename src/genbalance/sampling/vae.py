"""How a VAE draws images, and what an ONNX file holds of it."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbalance.data.pixels import UNIT
from genbalance.evaluation.features import in_blocks
from genbalance.models.vae import Vae
from genbalance.runtime.device import download
from genbalance.sampling.sampler import Condition, Drawing, Images, Input, sample_labels


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

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Condition]:
        """Latents of the prior, and labels."""
        z = self.vae.draw_prior(torch.randn(count, self.latent_dim, generator=noise, device=noise.device))
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
