"""How many of the data's modes a model draws, and how evenly: the two numbers of Stacked MNIST (Metz et al. 2017,
arXiv:1611.02163, table 1; Lin et al. 2018, arXiv:1712.04086, table 2).

A mode is a class, and an image is of the mode that the classifier reads in it. Both numbers depend on how many images
are read, so that everybody reads 26,000.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Generator

from genbalance.data.stacked import CLASSES, digits, label
from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.features import BLOCK, FeatureExtractor, Features
from genbalance.sampling.sampler import Sampler, draws

COUNT = 26_000
"""Samples whose modes are counted."""

Labels = NDArray[np.int64]


def modes_covered(labels: Labels) -> int:
    """How many different classes are among ``labels`` [n]."""
    return len(np.unique(labels))


def modes_kl(labels: Labels, classes: int) -> float:
    """KL(p ‖ u) = Σ p log(p · classes) in nats, of the shares p of the classes among ``labels`` [n] to the uniform ones
    u: 0 where all are equal, log(classes) where there is one.

    The direction is that of the literature, from the model to the data ("reverse KL"); it is finite where modes are
    missing. The data's classes are taken for uniform: those of MNIST's digits are nearly so (0.0043 nats for three of
    them), the bundled digits' are so. Of n labels that are drawn independently from uniform classes the expectation is
    (classes − 1) / 2n to first order: 0.019 for 26,000 of 1,000 classes, below which no model of independent draws is
    to be expected.
    """
    shares = np.bincount(labels, minlength=classes) / len(labels)
    present = shares[shares > 0]
    return float((present * np.log(present * classes)).sum())


def mode_metrics(
    sampler: Sampler,
    extractor: FeatureExtractor,
    samples: Features,
    real: Features,
    noise: Generator,
    seed: int,
    count: int = COUNT,
) -> dict[str, float]:
    """The two numbers of a model of stacked images, and what real images get.

    Args:
        sampler: the model.
        extractor: the reference classifier, of stacked images.
        samples: what it makes of samples that are drawn already; they are counted first.
        real: what it makes of test images. Its three digits are read one by one, so that images put together of the
            digits of several test images are as real, and ``count`` of those are counted.
        noise: of the samples that are drawn beside.
        seed: of the digits that are put together.
        count: how many are counted.

    Returns:
        ``modes_covered``, ``modes_kl`` and, with ``_real``, those of real images.
    """
    generated = np.concatenate([read_classes(samples.probabilities), *_more(sampler, extractor, samples, noise, count)])
    read = digits(read_classes(real.probabilities)).ravel()
    restacked = label(np.random.default_rng(seed).choice(read, (count, 3)))
    metrics: dict[str, float] = {}
    for name, labels in (("", generated[:count]), ("_real", restacked)):
        metrics[f"modes_covered{name}"] = modes_covered(labels)
        metrics[f"modes_kl{name}"] = modes_kl(labels, CLASSES)
    return metrics


def _more(
    sampler: Sampler, extractor: FeatureExtractor, samples: Features, noise: Generator, count: int
) -> Iterator[Labels]:
    """The classes of further samples, ``count`` with those that are there, block by block: no image is kept."""
    blocks = -(-(count - len(samples.features)) // BLOCK)
    for z, condition in islice(draws(sampler, BLOCK, noise, None), max(0, blocks)):
        yield read_classes(extractor.read(sampler.images(z, condition)).probabilities)
