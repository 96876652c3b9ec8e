"""The evaluation of a VAE: its samples, its likelihood, its codes and its reconstructions of test images."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data.pixels import UNIT
from genbalance.data.prepared import Prepared
from genbalance.evaluation.classes import class_preserved, draw_labels
from genbalance.evaluation.codes import (
    CODES,
    DECOMPOSED,
    MAPPED,
    PROBED,
    against_prior,
    code_map,
    disentanglement,
    posterior_draws,
    posterior_means,
    posterior_normals,
)
from genbalance.evaluation.curve import CurveImages, save_curve
from genbalance.evaluation.elbo import decoded, evaluate_elbo
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.evaluation.figures import save_figures
from genbalance.evaluation.kl_decomposition import kl_decomposition
from genbalance.evaluation.latents import active_units
from genbalance.evaluation.likelihood import importance_weighted_bound
from genbalance.evaluation.modes import mode_metrics
from genbalance.evaluation.probe import linear_probe
from genbalance.evaluation.reconstruction import measure_reconstructions
from genbalance.evaluation.suite import Attacks, EvaluationSuite, Metrics, PerImage, Samples
from genbalance.losses.vae import binarize
from genbalance.models.vae import Vae
from genbalance.models.vae.priors import GaussianMixture, StandardNormal
from genbalance.params import EvaluateConfig
from genbalance.runtime.device import Uploaded, generator, upload, uploaded
from genbalance.runtime.io import save_csv, whole_folder
from genbalance.runtime.rng import stream_seed
from genbalance.sampling.vae import VaeSampler


def evaluate(
    vae: Vae, dataset: Prepared, extractor: FeatureExtractor, config: EvaluateConfig, seed: int, out: Path
) -> Metrics:
    """Measures as many samples as there are real images to compare them with, then every test image.

    Args:
        vae: on the device of ``extractor``.
        dataset: those that both were trained on.
        extractor: the reference classifier.
        config: how much is measured.
        seed: the root of the random streams ``evaluate/…``.
        out: the folder of the figures and tables.

    Returns:
        The metrics of metrics/evaluate_vae.json before they are rounded; docs/metrics.md defines each.

    Raises:
        UserError: there are too few images, or the features of a sample are NaN or infinite.
    """
    suite, device, sampler = EvaluationSuite.of(dataset, extractor, config, seed), extractor.device, VaeSampler(vae)

    # samples, against real images
    z = in_blocks(vae.draw_prior, vae.noise(suite.n, generator(seed, "evaluate/vae")).to(device)).to(device)
    labels = draw_labels(dataset.train.labels, suite.n, stream_seed(seed, "evaluate/vae/labels"))
    condition = _condition(vae, labels, device)
    images = sampler.images(z, condition)
    features = extractor.read(images)
    samples = Samples(z, condition, images, features, suite.measure(features))

    # the likelihood
    test, test_labels = dataset.test.images, _condition(vae, dataset.test.labels, device)
    pixels = uploaded(test, UNIT, device)
    terms = evaluate_elbo(vae, pixels, generator(seed, "evaluate/vae/test", device), test_labels)
    nelbo = terms.distortion + terms.rates
    own: dict[str, PerImage] = {
        "nelbo": nelbo,
        "rate": terms.rates,
        "distortion": terms.distortion,
    }
    if vae.classes:
        own["condition_accuracy"] = class_preserved(features.probabilities, labels)
    draws = generator(seed, "evaluate/vae/draws", device)
    seen_test = _encoder_input(vae, test, generator(seed, "evaluate/vae/binary", device))
    own["nll"] = importance_weighted_bound(vae, seen_test, config.importance_draws, draws, test_labels)
    if vae.likelihood == "logistic_mixture":  # a probability of 8-bit levels; a density has no bits
        own["bits_per_dim"] = own["nll"] / (math.log(2) * math.prod(vae.shape))

    # membership inference
    members, others = rows = suite.candidates(dataset)
    of_members = _condition(vae, dataset.train.labels[members], device)
    noise_of_members = generator(seed, "evaluate/vae/members", device)
    in_training = uploaded(dataset.train.images[members], UNIT, device)
    member_terms = evaluate_elbo(vae, in_training, noise_of_members, of_members)
    elbo = -(member_terms.distortion + member_terms.rates), -nelbo[others]
    attacks: Attacks = suite.attacked(dataset, images, rows) | {"elbo": elbo}

    # the codes
    train, train_labels = dataset.train.images[:PROBED], dataset.train.labels[:PROBED]
    seen_train = _encoder_input(vae, train, generator(seed, "evaluate/vae/train", device))
    train_condition = _condition(vae, train_labels, device)
    train_codes = posterior_means(vae.encode, seen_train, train_condition)
    if dataset.has_classes:
        own["probe_accuracy"] = linear_probe(train_codes, train_labels, terms.means, dataset.test.labels)
    seen = seen_test[:CODES]
    some_labels = _condition(vae, dataset.test.labels[:CODES], device)
    codes = posterior_draws(vae.encode, seen, some_labels, vae.latents, generator(seed, "evaluate/vae/codes", device))
    discrepancy = against_prior(codes, vae.draw_prior, generator(seed, "evaluate/vae/prior"), device)
    kl_terms = _kl_terms(vae, seen, some_labels, generator(seed, "evaluate/vae/kl_terms"))

    # reconstructions
    def reconstructed(rows: slice) -> NDArray[np.float32]:
        return decoded(vae, terms.means[rows], test_labels[rows] if test_labels is not None else None)

    reconstructions = measure_reconstructions(test, reconstructed, extractor)

    scalars = {
        "nll_draws": config.importance_draws,
        **(terms.rates_of_layers(vae.layers) if vae.standard_prior else {}),  # another prior does not have them apart
        **kl_terms,
        "active_units": active_units(terms.means),
        **discrepancy,
        "fd_reconstructions": reconstructions.frechet_distance,
        "reconstructed": len(test),
        "membership_n": len(members),
    }
    if dataset.train.factors is not None and dataset.test.factors is not None:
        chance = np.random.default_rng(stream_seed(seed, "evaluate/vae/factors"))
        train_factors = dataset.train.factors[:PROBED]
        scalars |= disentanglement(train_codes, train_factors, terms.means, dataset.test.factors, chance)
    if dataset.stacked:
        more, modes_seed = generator(seed, "evaluate/vae/modes", device), stream_seed(seed, "evaluate/modes")
        scalars |= mode_metrics(sampler, extractor, features, suite.real.test, more, modes_seed)
    with whole_folder(out) as folder:
        save_figures(folder, sampler, samples, dataset, reconstructions.images)
        shown = code_map(train_codes, train_labels, terms.means[:MAPPED], dataset.test.labels[:MAPPED])
        save_csv(folder / "codes.csv", shown)
        if vae.beta_range:
            of_train = CurveImages(train, seen_train, train_labels, train_condition)
            of_test = CurveImages(test, seen_test, dataset.test.labels, test_labels)
            save_curve(folder, vae, vae.beta_range, of_train, of_test, condition, suite, extractor)
    return suite.summary(samples, own, reconstructions.each, scalars, attacks)


def _kl_terms(vae: Vae, seen: Uploaded, labels: Tensor | None, noise: torch.Generator) -> dict[str, float]:
    """The terms of the KL (:func:`kl_decomposition`) of the first images [n, C, H, W]; ``noise`` is on the CPU.

    Nothing of a ladder or nvae: its latents depend on those above them given the image, so that no q(z_j) has a closed
    form. The last term is against N(0, 1), hence of priors under which the KL in training was against N(0, I): the
    other two do not depend on the prior."""
    if len(vae.layers) > 1:
        return {}
    some = labels[:DECOMPOSED] if labels is not None else None
    means, deviations = posterior_normals(vae.encode, seen[:DECOMPOSED], some)
    terms = asdict(kl_decomposition(means, deviations, torch.randn(means.shape, generator=noise).numpy()))
    if not isinstance(vae.prior, StandardNormal | GaussianMixture):
        del terms["dimension_wise_kl"]
    return terms


def _condition(vae: Vae, labels: NDArray[np.int64], device: torch.device) -> Tensor | None:
    """Labels [n] as a conditional model takes them; None for the others."""
    return torch.from_numpy(labels).to(device) if vae.classes else None


def _encoder_input(vae: Vae, images: NDArray[np.uint8], noise: torch.Generator) -> Uploaded:
    """What the encoder sees of images [n, H, W(, 3)]: for a Bernoulli likelihood one binary draw."""
    if vae.likelihood != "bernoulli":
        return uploaded(images, UNIT, noise.device)
    pixels = upload(images, UNIT, noise.device)
    return binarize(pixels, torch.rand(pixels.shape, generator=noise, device=pixels.device))
