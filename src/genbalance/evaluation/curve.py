"""What β trades, along the range of it that one VAE knows: a point of the rate–distortion curve for each of 21 β."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data import pictures
from genbalance.data.pixels import UNIT
from genbalance.evaluation.classifier_score import classifier_score
from genbalance.evaluation.codes import DECOMPOSED, posterior_means, posterior_normals
from genbalance.evaluation.elbo import decoded, evaluate_elbo
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.evaluation.frechet import frechet_distance
from genbalance.evaluation.kl_decomposition import kl_decomposition
from genbalance.evaluation.latents import active_units
from genbalance.evaluation.probe import linear_probe
from genbalance.evaluation.reconstruction import same_class
from genbalance.evaluation.suite import EvaluationSuite
from genbalance.models.vae import Vae
from genbalance.models.vae.priors import StandardNormal
from genbalance.runtime.device import Uploaded, download, generator, uploaded
from genbalance.runtime.io import save_csv

POINTS = 21
DIGITS = 3  # significant ones of each β
COLUMNS = 10  # of both grids
SAMPLES, ORIGINALS = 40, 20  # of each β that are shown
PROBED = 2_000  # training images that the linear probe learns from, at most
KL = "kl_"  # and the number of the latent, from 0 on: the column of its KL


def values(least: float, largest: float) -> list[float]:
    """The β of the curve: 21, whose logarithms are evenly spaced."""
    inner = [float(f"{beta:.{DIGITS}g}") for beta in np.geomspace(least, largest, POINTS)[1:-1]]
    return [least, *inner, largest]


@dataclass(frozen=True)
class CurveImages:
    """Images of one split.

    Attributes:
        originals: uint8 [n, H, W(, 3)].
        seen: what the encoder gets of them, [n, C, H, W] in [0, 1], for a Bernoulli likelihood one binary draw.
        classes: [n], all 0 where there are none.
        labels: the same for a conditional model, None for any other.
    """

    originals: NDArray[np.uint8]
    seen: Uploaded
    classes: NDArray[np.int64]
    labels: Tensor | None


def save_curve(
    folder: Path,
    vae: Vae,
    ends: Sequence[float],
    train: CurveImages,
    test: CurveImages,
    sampled: Tensor | None,
    suite: EvaluationSuite,
    extractor: FeatureExtractor,
) -> None:
    """Measures test images and samples at each β, always with the prior N(0, I), the same latents and the same noise.

    Writes curve.csv: a row for each ``beta`` with ``rate``, ``distortion``, ``nelbo`` = distortion + rate, nats per
    image; the terms of the KL (:func:`kl_decomposition`); ``active_units``; the Fréchet distances ``fd_test`` of as
    many samples as the suite takes, and ``fd_reconstructions``; where there are classes ``classifier_score``,
    ``classifier_agreement`` and ``probe_accuracy``, of a linear probe that learns from the first 2,000 codes alone; and
    the KL of each latent as ``kl_0`` …. And for each β the pictures curve/samples_<β>.png and
    curve/reconstructions_<β>.png.

    Args:
        folder: of the evaluation's files.
        vae: that knows β.
        ends: of the range of β.
        train: what the linear probe learns from.
        test: the images that are measured and rebuilt.
        sampled: the labels of the samples, as many as the suite takes; None where the model is not conditional.
        suite: the real images that samples are compared with.
        extractor: the reference classifier.
    """
    plain, device = deepcopy(vae), extractor.device
    plain.prior, plain.standard_prior = StandardNormal(), True
    z = torch.randn(suite.n, vae.latents, generator=generator(suite.seed, "evaluate/vae/curve")).to(device)
    before, n = extractor.read(test.originals), min(DECOMPOSED, len(test.originals))
    pixels = uploaded(test.originals, UNIT, device)
    probed, probed_labels = train.seen[:PROBED], None if train.labels is None else train.labels[:PROBED]
    some = None if test.labels is None else test.labels[:n]
    draws = torch.randn(n, vae.latents, generator=generator(suite.seed, "evaluate/vae/curve/kl_terms")).numpy()
    rows = []
    (folder / "curve").mkdir()
    for beta in values(*ends):
        with plain.at(beta):
            noise = generator(suite.seed, "evaluate/vae/curve/test", device)
            terms = evaluate_elbo(plain, pixels, noise, test.labels)
            rebuilt = UNIT.to_uint8(decoded(plain, terms.means, test.labels))
            posteriors = posterior_normals(plain.encode, test.seen[:n], some)
            codes = posterior_means(plain.encode, probed, probed_labels) if suite.real.has_classes else None
            samples = download(in_blocks(plain.sample, z, sampled, values=vae.outputs), UNIT)
        features, after = extractor.read(samples), extractor.read(rebuilt)
        row = {
            "beta": beta,
            "rate": terms.rate,
            "distortion": float(terms.distortion.mean()),
            "nelbo": terms.loss(1.0),
            **asdict(kl_decomposition(*posteriors, draws)),
            "active_units": active_units(terms.means),
            "fd_test": frechet_distance(features.features, suite.real.test.features),
            "fd_reconstructions": frechet_distance(after.features, before.features),
        }
        if codes is not None:
            row["classifier_score"] = classifier_score(features.probabilities)
            row["classifier_agreement"] = float(same_class(before, after).mean())
            right = linear_probe(codes, train.classes[:PROBED], terms.means, test.classes)
            row["probe_accuracy"] = float(right.mean())
        rows.append(row | {f"{KL}{latent}": nats for latent, nats in enumerate(terms.kl)})
        pairs = pictures.alternate_rows(test.originals[:ORIGINALS], rebuilt[:ORIGINALS], COLUMNS)
        for name, images in (("samples", samples[:SAMPLES]), ("reconstructions", pairs)):
            pictures.save_png(folder / "curve" / f"{name}_{beta:g}.png", pictures.grid(images, COLUMNS))
    save_csv(folder / "curve.csv", pd.DataFrame(rows))
