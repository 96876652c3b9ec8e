"""The evaluation of a VAE-GAN: its samples, its discriminator, its codes and its reconstructions of test images."""

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pixels import SIGNED, UNIT
from genbalance.data.prepared import Prepared
from genbalance.evaluation.codes import (
    CODES,
    MAPPED,
    PROBED,
    against_prior,
    code_map,
    disentanglement,
    posterior_draws,
    posterior_means,
)
from genbalance.evaluation.discriminator import accuracies, auc
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.evaluation.figures import save_figures
from genbalance.evaluation.latents import active_units
from genbalance.evaluation.modes import mode_metrics
from genbalance.evaluation.probe import linear_probe
from genbalance.evaluation.reconstruction import measure_reconstructions
from genbalance.evaluation.suite import EvaluationSuite, Metrics, PerImage, Samples
from genbalance.losses.vae import kl_to_normal
from genbalance.models.vae_gan import VaeGan
from genbalance.params import EvaluateConfig
from genbalance.runtime.device import download, generator, uploaded
from genbalance.runtime.io import save_csv, whole_folder
from genbalance.runtime.rng import stream_seed
from genbalance.sampling.vae_gan import VaeGanSampler


def evaluate(
    vae_gan: VaeGan, dataset: Prepared, extractor: FeatureExtractor, config: EvaluateConfig, seed: int, out: Path
) -> Metrics:
    """Measures as many samples as there are real images to compare them with, then every test image.

    Args:
        vae_gan: on the device of ``extractor``.
        dataset: those that both were trained on.
        extractor: the reference classifier.
        config: how much is measured.
        seed: the root of the random streams ``evaluate/…``.
        out: the folder of the figures and tables.

    Returns:
        The metrics of metrics/evaluate_vae_gan.json before they are rounded; docs/metrics.md defines each.

    Raises:
        UserError: there are too few images, or the features of a sample are NaN or infinite.
    """
    suite, device = EvaluationSuite.of(dataset, extractor, config, seed), extractor.device
    autoencoder, sampler = vae_gan.autoencoder, VaeGanSampler(vae_gan)

    # samples, against real images
    z = autoencoder.draw(suite.n, generator(seed, "evaluate/vae_gan", device))
    drawn = in_blocks(autoencoder.decode, z, values=prod(vae_gan.shape))
    images = download(drawn, SIGNED)
    features = extractor.read(images)
    samples = Samples(z, None, images, features, suite.measure(features))

    # the discriminator
    train, test = (uploaded(split.images, SIGNED, device) for split in (dataset.train, dataset.test))
    on_train, on_test, on_generated = (
        in_blocks(vae_gan.discriminator, some).numpy() for some in (train, test, drawn.to(device))
    )
    own: dict[str, PerImage] = dict(accuracies(on_train, on_test, on_generated))

    # membership inference
    members, others = rows = suite.candidates(dataset)
    attacks = suite.attacked(dataset, images, rows) | {"logit": (on_train[members], on_test[others])}

    # the codes
    labels = dataset.train.labels[:PROBED]
    own["rate"] = in_blocks(lambda some: kl_to_normal(autoencoder.encode(some)).sum(dim=1), test).double().numpy()
    train_codes = posterior_means(autoencoder.encode, train[:PROBED], None)
    means = posterior_means(autoencoder.encode, test, None)
    if dataset.has_classes:
        own["probe_accuracy"] = linear_probe(train_codes, labels, means, dataset.test.labels)
    noise = generator(seed, "evaluate/vae_gan/codes", device)
    codes = posterior_draws(autoencoder.encode, test[:CODES], None, autoencoder.latents, noise)
    discrepancy = against_prior(codes, lambda prior: prior, generator(seed, "evaluate/vae_gan/prior"), device)

    # reconstructions
    def reconstructed(rows: slice) -> NDArray[np.float32]:
        levels: NDArray[np.float32] = UNIT.encode(download(in_blocks(autoencoder.reconstruct, test[rows]), SIGNED))
        return levels

    reconstructions = measure_reconstructions(dataset.test.images, reconstructed, extractor)

    scalars = {
        "d_auc_train": auc(on_train, on_generated),
        "d_auc_test": auc(on_test, on_generated),
        "active_units": active_units(means),
        **discrepancy,
        "fd_reconstructions": reconstructions.frechet_distance,
        "reconstructed": len(test),
        "membership_n": len(members),
    }
    if dataset.train.factors is not None and dataset.test.factors is not None:
        chance = np.random.default_rng(stream_seed(seed, "evaluate/vae_gan/factors"))
        train_factors = dataset.train.factors[:PROBED]
        scalars |= disentanglement(train_codes, train_factors, means, dataset.test.factors, chance)
    if dataset.stacked:
        more, modes_seed = generator(seed, "evaluate/vae_gan/modes", device), stream_seed(seed, "evaluate/modes")
        scalars |= mode_metrics(sampler, extractor, features, suite.real.test, more, modes_seed)
    with whole_folder(out) as folder:
        save_figures(folder, sampler, samples, dataset, reconstructions.images)
        save_csv(folder / "codes.csv", code_map(train_codes, labels, means[:MAPPED], dataset.test.labels[:MAPPED]))
    return suite.summary(samples, own, reconstructions.each, scalars, attacks)
