"""Generator and discriminator around the networks of ``gan.arch``.

Shapes: latents z [B, L], images [B, C, H, W] in [−1, 1], logits [B]: D(x) = sigmoid(logit); conditions [B] whole
numbers below N, where there are any (see :mod:`genbalance.models.gan.conditions`).
"""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm

from genbalance.models.gan.conditions import Conditions
from genbalance.models.gan.dcgan import dcgan_generator, dcgan_trunk
from genbalance.models.gan.dense import dense_generator, dense_trunk
from genbalance.models.gan.mlp import mlp_generator, mlp_trunk
from genbalance.models.gan.style import StyleGenerator, style_trunk
from genbalance.params import Count, GanArch, GanWidth, ImageShape, Latents, Truncation, checked
from genbalance.runtime.arithmetic import Narrow
from genbalance.runtime.device import Uploaded

GENERATORS: dict[str, Callable[[Sequence[int], Sequence[int], int], nn.Module]] = {
    "mlp": mlp_generator,
    "dcgan": dcgan_generator,
    "style": StyleGenerator,
    "dense": dense_generator,
}
TRUNKS = {"mlp": mlp_trunk, "dcgan": dcgan_trunk, "style": style_trunk, "dense": dense_trunk}


class Generator(nn.Module):
    """z, and perhaps a condition, → an image."""

    def __init__(self, arch: str, shape: Sequence[int], latents: int, width: int, conditions: int = 0) -> None:
        super().__init__()
        self.latents, self.conditions = latents, conditions
        self.net: nn.Module = GENERATORS[arch]((latents, conditions), shape, width)

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """Latents [count, L] of the prior, z ~ N(0, I), on the device of ``noise``."""
        return torch.randn(count, self.latents, generator=noise, device=noise.device)

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] in (−1, 1)."""
        images: Tensor = self.net(self.inputs(latents, conditions))
        return images

    def inputs(self, latents: Tensor, conditions: Tensor | None) -> Tensor:
        """What enters the first layer [B, L + N]: latents, and conditions as one-hot vectors."""
        if conditions is None:
            return latents
        return torch.cat([latents, one_hot(conditions, self.conditions).to(latents.dtype)], dim=1)


class Discriminator(nn.Module):
    """An image, and perhaps a condition, → one logit: linear in the trunk's features, and with conditions also in their
    product with an embedding of the condition (Miyato & Koyama 2018, arXiv:1802.05637)."""

    def __init__(
        self, arch: str, shape: Sequence[int], width: int, conditions: int = 0, spectral: bool = False
    ) -> None:
        super().__init__()
        self.trunk, features = TRUNKS[arch](shape, width)
        self.head = Narrow(features, 1)
        if conditions:
            self.embedding = nn.Embedding(conditions, features)
            nn.init.zeros_(self.embedding.weight)
        if spectral:  # Miyato et al. 2018, arXiv:1802.05957; the embedding goes without
            for layer in [layer for layer in self.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]:
                spectral_norm(layer)

    def forward(self, images: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Logits [B]."""
        features = self.trunk(images)
        logits: Tensor = self.head(features).flatten()
        if conditions is not None:
            logits = logits + (self.embedding(conditions) * features).sum(dim=1)
        return logits.float() if logits.dtype == torch.bfloat16 else logits


class Gan(nn.Module):
    """Both networks and their conditions, as one file holds them, and how to sample from them.

    Args:
        arch: mlp, dcgan, style or dense.
        shape: [C, H, W] of an image.
        latents: L.
        width: of the convolutions.
        conditions: N; 0: the networks have no condition.
        classes: how many classes can be asked for; 0: none.
        spectral: whether D's layers have spectral norm 1.
        truncation: standard deviation of the z that samples are drawn with, 1 in training (the truncation trick:
            Brock et al. 2019, arXiv:1809.11096): below 1 they are more typical and less diverse. The style-based
            generator draws w towards its mean by this factor instead (ψ), and takes z with standard deviation 1.
    """

    @checked
    def __init__(
        self,
        arch: GanArch,
        shape: ImageShape,
        latents: Latents,
        width: GanWidth,
        conditions: Count = 0,
        classes: Count = 0,
        spectral: bool = False,
        truncation: Truncation = 1.0,
    ) -> None:
        super().__init__()
        self.shape, self.latents, self.classes, self.truncation = shape, latents, classes, truncation
        self.generator = Generator(arch, shape, latents, width, conditions)
        self.discriminator = Discriminator(arch, shape, width, conditions, spectral)
        self.conditions = Conditions(conditions, classes, prod(shape)) if conditions else None
        if isinstance(self.generator.net, StyleGenerator):
            self.generator.net.truncation = truncation

    @property
    def deviation(self) -> float:
        """Standard deviation of the z that samples are drawn with."""
        return 1.0 if isinstance(self.generator.net, StyleGenerator) else self.truncation

    def draw_latents(self, count: int, noise: torch.Generator) -> Tensor:
        """Latents [count, L] to sample with."""
        return self.deviation * self.generator.draw(count, noise)

    def draw_conditions(self, count: int, noise: torch.Generator, labels: Tensor | None = None) -> Tensor | None:
        """Conditions [count] for new images of the classes ``labels`` [count]; None where the networks take none."""
        return self.conditions.draw(count, noise, labels) if self.conditions else None

    def conditions_of(self, images: Uploaded, labels: Tensor | None = None) -> Tensor | None:
        """Conditions [B] of real images [B, C, H, W] of the classes ``labels``; None where the networks take none."""
        return self.conditions.of(images, labels if self.classes else None) if self.conditions else None
