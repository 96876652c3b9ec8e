"""What a model family gives for sampling: a `Sampler`, which draws images out of noise, and a `Drawing`, which an ONNX
file holds.

Shapes: latents z [n, L], standard normal but for the GAN's truncation; conditions [n], whole numbers: the GAN's
clusters, or the VAE's labels, None where a model has none; images uint8 [n, H, W] or [n, H, W, 3].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Images = NDArray[np.uint8]
Condition = Tensor | None

TOGETHER = 1024  # latents and conditions that are drawn at once


def _as_it_is(truncation: float | None, beta: float | None) -> AbstractContextManager[None]:  # noqa: ARG001
    return nullcontext()


@dataclass(frozen=True)
class Discriminator:
    """What tells samples from real images: ``logits`` [n] of images [n, C, H, W] in [−1, 1] and conditions [n], larger
    for what it takes for real; ``conditions_of`` such images and their labels [n]."""

    logits: Callable[[Tensor, Condition], Tensor]
    conditions_of: Callable[[Tensor, Tensor], Condition]


@dataclass(frozen=True)
class Controls:
    """What else a model has than latents, classes and images: what a person can change of an image, and its other
    networks; by default nothing.

    Attributes:
        clusters: the mean images [N, H, W(, 3)] of the clusters that the network is conditioned on, whose numbers are
            the conditions; None: there are none.
        members: the clusters of each class, or, of a network that is asked for no class, all of them in one row.
        truncation: in (0, 1], that it draws with; None: it has none.
        betas: the least and the largest β that it knows, and its own; None: it knows none.
        at: ``at(truncation, beta)`` is a context in which it draws latents and images with these; None: its own.
        observe: images drawn from p(x|z), at latents and a condition and with a random stream; None: it makes no
            other images than those of ``images``.
        encode: the means of q(z|x) [n, L] of images, with their labels [n] where the network takes some; the random
            stream is for an encoder that sees black and white pixels. None: there is no encoder.
        discriminator: None: there is none.
    """

    clusters: Images | None = None
    members: Sequence[Sequence[int]] = ()
    truncation: float | None = None
    betas: tuple[float, float, float] | None = None
    at: Callable[[float | None, float | None], AbstractContextManager[None]] = _as_it_is
    observe: Callable[[Tensor, Condition, torch.Generator], Images] | None = None
    encode: Callable[[Images, Condition, torch.Generator], Tensor] | None = None
    discriminator: Discriminator | None = None


class Sampler(Protocol):
    """A network that draws images."""

    @property
    def classes(self) -> int:
        """How many classes it can be conditioned on; 0: none."""

    @property
    def latent_dim(self) -> int:
        """L."""

    @property
    def controls(self) -> Controls:
        """What else can be changed of its images."""

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Condition]:
        """Latents and conditions for ``count`` images: of the class ``digit``, or of random classes for None, where the
        model has classes."""

    def images(self, z: Tensor, condition: Condition) -> Images:
        """The images at these latents."""

    def between(self, z: Tensor, ends: Condition, shares: Tensor) -> Images:
        """Images at ``z`` [n, L] between two conditions ``ends`` [2]. ``shares`` [n] is the weight of the second one,
        from 0 to 1, in the mixture of what enters the network's first layer."""


def draws(sampler: Sampler, size: int, noise: torch.Generator, digit: int | None) -> Iterator[tuple[Tensor, Condition]]:
    """What :meth:`Sampler.draw` gives, ``size`` at a time and without an end. Many are drawn at once, so that a GAN's
    clusters and the components of a VAE's prior come as evenly as their shares say."""
    count = max(1, TOGETHER // size) * size
    while True:
        z, condition = sampler.draw(count, noise, digit)
        for first in range(0, count, size):
            rows = slice(first, first + size)
            yield z[rows], None if condition is None else condition[rows]


def sample_labels(classes: int, digit: int | None, count: int, noise: torch.Generator) -> Condition:
    """Labels [count]: all of them ``digit``, or random ones for None; None where the model has no ``classes``."""
    if not classes:
        return None
    if digit is None:
        return torch.randint(classes, (count,), generator=noise, device=noise.device)
    return torch.full((count,), digit, device=noise.device)


EXAMPLES = 3  # rows of the inputs that a network is traced with; its file takes any number


@dataclass(frozen=True)
class Input:
    """An input of an ONNX file: the ``example`` that the network is traced with, and the ``metadata`` that say what to
    draw the input from.

    The metadata are ``dtype``; ``shape``, with ``batch`` for B; and ``distribution``: ``normal`` with ``mean`` and
    ``std``, or ``categorical``, whole numbers from 0 with ``probabilities``. Where these depend on the class,
    ``probabilities_of_class`` has a row for each; where the input is the class itself, ``means`` is ``class``.
    """

    example: Tensor
    metadata: Mapping[str, Any]

    @classmethod
    def normal(cls, width: int, std: float) -> "Input":
        """float32 [B, width], with mean 0."""
        metadata = {"dtype": "float32", "shape": ["batch", width], "distribution": "normal", "mean": 0.0, "std": std}
        return cls(torch.zeros(EXAMPLES, width), metadata)

    @classmethod
    def categorical(cls, **probabilities: Any) -> "Input":
        """int64 [B]."""
        metadata = {"dtype": "int64", "shape": ["batch"], "distribution": "categorical", **probabilities}
        return cls(torch.zeros(EXAMPLES, dtype=torch.int64), metadata)


@dataclass(frozen=True)
class Drawing:
    """What an ONNX file computes: the ``network`` of ``inputs``, by name and in its order, → images [B, C, H, W] in
    [0, 1]; ``classes``: how many it can be conditioned on, 0: none."""

    network: nn.Module
    classes: int
    inputs: Mapping[str, Input]
