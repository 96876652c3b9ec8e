"""The evaluation of a GAN: its samples, its discriminator, and reconstructions of test images by inversion."""

from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance.data.pixels import SIGNED, UNIT
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.classes import class_preserved, draw_labels
from genbalance.evaluation.discriminator import accuracies, auc
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.evaluation.figures import save_figures
from genbalance.evaluation.inversion import reconstruct
from genbalance.evaluation.modes import mode_metrics
from genbalance.evaluation.reconstruction import measure_reconstructions
from genbalance.evaluation.suite import EvaluationSuite, Metrics, Samples
from genbalance.models.gan import Gan
from genbalance.params import EvaluateConfig
from genbalance.runtime.device import download, generator, upload, uploaded
from genbalance.runtime.io import whole_folder
from genbalance.runtime.rng import stream_seed
from genbalance.sampling.gan import GanSampler
from genbalance.sampling.interpolation import save_sequences

ROWS, COLUMNS = 5, 8  # samples whose styles are mixed: the coarse ones of the first five, the fine ones of the next


def evaluate(
    gan: Gan, dataset: Prepared, extractor: FeatureExtractor, config: EvaluateConfig, seed: int, out: Path
) -> Metrics:
    """Measures as many samples as there are real images to compare them with.

    Args:
        gan: on the device of ``extractor``.
        dataset: those that both were trained on.
        extractor: the reference classifier.
        config: how much is measured.
        seed: the root of the random streams ``evaluate/…``.
        out: the folder of the figures and tables; of a style-based generator also style_mixing.png, whose first row
            and column are the first samples.

    Returns:
        The metrics of metrics/evaluate_gan.json before they are rounded; docs/metrics.md defines each.

    Raises:
        UserError: there are too few images, or the features of a sample are NaN or infinite.
    """
    suite, device = EvaluationSuite.of(dataset, extractor, config, seed), extractor.device

    # samples, against real images
    noise = generator(seed, "evaluate/gan", device)
    labels = draw_labels(dataset.train.labels, suite.n, stream_seed(seed, "evaluate/gan/labels"))
    z = gan.draw_latents(suite.n, noise)
    condition = gan.draw_conditions(suite.n, noise, torch.from_numpy(labels).to(device) if gan.classes else None)
    drawn = in_blocks(gan.generator, z, condition, values=prod(gan.shape))
    images = download(drawn, SIGNED)
    features = extractor.read(images)
    samples = Samples(z, condition, images, features, suite.measure(features))

    # the discriminator
    train, test = (_logits(gan, split, device) for split in (dataset.train, dataset.test))
    generated = in_blocks(gan.discriminator, drawn.to(device), condition).numpy()
    own = accuracies(train, test, generated)

    # membership inference
    members, others = rows = suite.candidates(dataset)
    attacks = suite.attacked(dataset, images, rows) | {"logit": (train[members], test[others])}

    # reconstructions
    originals = dataset.test.images[: config.inversion_images]
    targets = upload(originals, SIGNED, device)
    found = download(reconstruct(gan.generator, targets, drawn, z, condition, config.inversion_steps), SIGNED)
    reconstructions = measure_reconstructions(originals, lambda rows: UNIT.encode(found[rows]), extractor)

    quality = dict(reconstructions.each)
    if gan.classes:
        quality["condition_accuracy"] = class_preserved(features.probabilities, labels)
    scalars = {
        "d_auc_train": auc(train, generated),
        "d_auc_test": auc(test, generated),
        "reconstructed": len(originals),
        "membership_n": len(members),
    }
    if dataset.stacked:
        more, modes_seed = generator(seed, "evaluate/gan/modes", device), stream_seed(seed, "evaluate/modes")
        scalars |= mode_metrics(GanSampler(gan), extractor, features, suite.real.test, more, modes_seed)
    shown = ROWS + COLUMNS
    mixed = GanSampler(gan).style_mixing(z[:shown], None if condition is None else condition[:shown], ROWS)
    with whole_folder(out) as folder:
        save_figures(folder, GanSampler(gan), samples, dataset, reconstructions.images)
        if mixed is not None:
            save_sequences(folder / "style_mixing.png", mixed)
    return suite.summary(samples, own, quality, scalars, attacks)


def _logits(gan: Gan, split: Split, device: torch.device) -> NDArray[np.float32]:
    """The discriminator's logits [n] of the images of a split."""
    images, labels = uploaded(split.images, SIGNED, device), torch.from_numpy(split.labels).to(device)
    logits: NDArray[np.float32] = in_blocks(gan.discriminator, images, gan.conditions_of(images, labels)).numpy()
    return logits
