"""How a GAN draws images, and what an ONNX file holds of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genbalance.data.pictures import LINE as BLANK
from genbalance.data.pixels import SIGNED
from genbalance.evaluation.features import in_blocks
from genbalance.models.gan import Gan
from genbalance.models.gan.style import StyleGenerator
from genbalance.runtime.device import download
from genbalance.sampling.sampler import Condition, Controls, Discriminator, Drawing, Images, Input, sample_labels


@dataclass(frozen=True)
class GanSampler:
    """Images of the generator."""

    gan: Gan

    @property
    def classes(self) -> int:
        """How many classes it can be conditioned on; 0: none."""
        return self.gan.classes

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.gan.latents

    @property
    def controls(self) -> Controls:
        """Its clusters, how much it truncates, and its discriminator."""
        conditions = self.gan.conditions
        discriminator = Discriminator(self.gan.discriminator, self.gan.conditions_of)
        if conditions is None:
            return Controls(truncation=self.gan.truncation, at=self._at, discriminator=discriminator)
        clusters = download(conditions.centroids.view(-1, *self.gan.shape), SIGNED)
        members = [row.nonzero().flatten().tolist() for row in conditions.shares > 0]
        return Controls(clusters, members, self.gan.truncation, at=self._at, discriminator=discriminator)

    @contextmanager
    def _at(self, truncation: float | None, beta: float | None) -> Iterator[None]:  # noqa: ARG002 (it has no β)
        own = self.gan.truncation
        self._truncate(own if truncation is None else truncation)
        try:
            yield
        finally:
            self._truncate(own)

    def _truncate(self, truncation: float) -> None:
        self.gan.truncation = truncation
        if isinstance(self.gan.generator.net, StyleGenerator):
            self.gan.generator.net.truncation = truncation

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Condition]:
        """Latents of the truncated prior, and conditions."""
        z = self.gan.draw_latents(count, noise)
        return z, self.gan.draw_conditions(count, noise, sample_labels(self.classes, digit, count, noise))

    def images(self, z: Tensor, condition: Condition) -> Images:
        """The generator's images."""
        return download(in_blocks(self.gan.generator, z, condition, values=prod(self.gan.shape)), SIGNED)

    def between(self, z: Tensor, ends: Condition, shares: Tensor) -> Images:
        """Images between two conditions: their one-hot vectors are mixed."""
        if ends is None:
            return self.images(z, None)
        first, second = one_hot(ends, self.gan.generator.conditions).to(z.dtype)
        mixed = torch.lerp(first, second, shares[:, None])
        inputs = torch.cat([z, mixed], dim=1)
        return download(in_blocks(self.gan.generator.net, inputs, values=prod(self.gan.shape)), SIGNED)

    def style_mixing(self, z: Tensor, condition: Condition, rows: int) -> Images | None:
        """Images [rows + 1, columns + 1, H, W(, 3)] of mixed styles: those at the first ``rows`` of ``z`` [n, L] stand
        in the first column and those at the others in the first row; the corner is blank. Each image between takes its
        coarse styles from the sample of its row, and its fine ones from the z of its column with the condition of its
        row, as in training. None where the generator has no styles."""
        generator, columns = self.gan.generator, len(z) - rows
        if not isinstance(generator.net, StyleGenerator):
            return None
        sources = self.images(z, condition)
        kept = None if condition is None else condition[:rows].repeat_interleave(columns)
        coarse = generator.inputs(z[:rows].repeat_interleave(columns, dim=0), kept)
        fine = generator.inputs(z[rows:].repeat(rows, 1), kept)
        mixed = in_blocks(generator.net.mix, coarse, fine, values=prod(self.gan.shape))
        size = sources.shape[1:]
        table = np.full((rows + 1, columns + 1, *size), BLANK, dtype=np.uint8)
        table[1:, 0], table[0, 1:] = sources[:rows], sources[rows:]
        table[1:, 1:] = download(mixed, SIGNED).reshape(rows, columns, *size)
        return table


class _Generator(nn.Module):
    """The generator with pixels in [0, 1]."""

    def __init__(self, gan: Gan) -> None:
        super().__init__()
        self.generator = gan.generator

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        images: Tensor = SIGNED.decode(self.generator(latents, conditions))
        return images


def gan_drawing(gan: Gan) -> Drawing:
    """The generator.

    Inputs: ``latents`` float32 [B, L], normal with the standard deviation of :class:`Gan`; of a network with
    conditions, ``conditions`` int64 [B], categorical with their shares among the training images (of a class).
    """
    inputs = {"latents": Input.normal(gan.latents, gan.deviation)}
    if gan.conditions:
        shares = gan.conditions.shares.double()
        rows = (shares / shares.sum(dim=1, keepdim=True)).tolist()  # exactly 1 each, as numpy.random asks for
        probabilities = {"probabilities_of_class": rows} if gan.classes else {"probabilities": rows[0]}
        inputs["conditions"] = Input.categorical(**probabilities)
    return Drawing(_Generator(gan), gan.classes, inputs)
