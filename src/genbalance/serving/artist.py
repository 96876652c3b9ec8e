"""Draws what is wished for: a model, and the judge that reads what it has drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbalance import weights
from genbalance.compute import generator
from genbalance.data.pixels import standardized
from genbalance.errors import UserError
from genbalance.evaluation.judge import Judge
from genbalance.generation.gan_sampler import GanSampler
from genbalance.generation.sampler import Images, Sampler
from genbalance.generation.vae_sampler import VaeSampler
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.serving.wishes import Drawn, Wish

CPU = torch.device("cpu")  # the networks are small, and the same request has the same answer everywhere
BLOCK = 64  # candidates at a time: of a fixed size, so that a longer answer begins with the shorter one
TRIES = 500  # candidates for each digit wanted, at most
CONFIDENCE = 0.9  # least probability that the judge gives the digit asked for


@dataclass(frozen=True)
class Artist:
    """A model, its judge, and how many classes that one knows."""

    sampler: Sampler
    judge: Judge
    classes: int

    @classmethod
    def load(cls, model: str, weights_file: Path, judge_file: Path, mean: float, std: float) -> "Artist":
        """Out of the files of a model, gan or vae, and of its judge, which was trained on pixels of this mean and
        standard deviation.

        Raises:
            UserError: a file is not what it should be.
        """
        classifier = weights.load(judge_file, Classifier, CPU)
        judge = Judge(classifier, standardized(mean, std), CPU)
        sampler: Sampler
        if model == "gan":
            sampler = GanSampler(weights.load(weights_file, Gan, CPU))
        else:
            sampler = VaeSampler(weights.load(weights_file, Vae, CPU))
        return cls(sampler, judge, classifier.head.out_features)

    def fulfil(self, wish: Wish) -> Drawn:
        """As many digits as are wished for. Those of any class are drawn as they come; of a class, those that the
        judge reads as it.

        Raises:
            UserError: too few were read so.
        """
        candidates = self._candidates(wish)
        if wish.digit is None:
            return _first(candidates, wish.count)
        return accepted(candidates, wish.digit, wish.count)

    def _candidates(self, wish: Wish) -> Iterator[Drawn]:
        """Without an end."""
        for images in draws(self.sampler, wish.seed, wish.digit, CPU):
            probabilities = self.judge.read(images).probabilities
            yield Drawn(images, probabilities.argmax(axis=1), probabilities.max(axis=1))


def draws(sampler: Sampler, seed: int, digit: int | None, device: torch.device) -> Iterator[Images]:
    """Images of a model on ``device``, `BLOCK` at a time and without an end; of a ``digit``, if the model is
    conditional."""
    noise = generator(seed, f"serve/{digit}", device)
    while True:
        yield sampler.images(*sampler.draw(BLOCK, noise, digit))


def accepted(candidates: Iterator[Drawn], digit: int, count: int) -> Drawn:
    """The first ``count`` candidates that are read as ``digit`` with confidence: rejection, of a model that can be
    asked for a digit as of one that cannot.

    Raises:
        UserError: of `TRIES` candidates for each one wanted, fewer were.
    """
    parts: list[Drawn] = []
    tried = found = 0
    while found < count:
        if tried >= TRIES * count:
            raise UserError(
                f"digit: found {digit}, but the classifier read only {found} of {tried:,} candidates as it with a "
                f"probability of {CONFIDENCE} or more, and {count} are needed; ask for fewer, or for another digit"
            )
        block = next(candidates)
        kept = np.flatnonzero((block.read == digit) & (block.confidence >= CONFIDENCE))
        parts.append(_rows(block, kept))
        tried, found = tried + len(block.read), found + len(kept)
    return _first(iter(parts), count)


def _first(blocks: Iterator[Drawn], count: int) -> Drawn:
    parts: list[Drawn] = []
    while sum(len(part.read) for part in parts) < count:
        parts.append(next(blocks))
    joined = Drawn(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.read for part in parts]),
        np.concatenate([part.confidence for part in parts]),
    )
    return _rows(joined, np.arange(count))


def _rows(drawn: Drawn, which: Any) -> Drawn:
    return Drawn(drawn.images[which], drawn.read[which], drawn.confidence[which])
