"""The reference classifier's training: cross-entropy on shifted and rotated images.

Of images without classes it learns to recognise by which multiple of 90 degrees they were turned (Gidaris et al. 2018,
arXiv:1803.07728): that needs no labels, and features that tell what an image shows.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, grid_sample
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared
from genbalance.evaluation.calibration import reading_quality
from genbalance.evaluation.features import in_blocks
from genbalance.models.classifier import Classifier, turned, turns
from genbalance.params import Params
from genbalance.runtime.device import Uploaded, generator, initialised, lowered, uploaded, uses_bf16
from genbalance.runtime.machine import machine
from genbalance.tracking import Run
from genbalance.training import loop
from genbalance.training.epochs import Epochs, Trained
from genbalance.training.loop import Phase, Scalars

SHOWN = {"loss": "val_loss", "accuracy": "val_accuracy"}  # of the validation images
ADVICE = "a smaller classifier.learning_rate"


def train(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
    """Trains the classifier, keeps the last epoch and tests it: on the classes, or, where there are no two of them, on
    the turns of the images, each image in all of its turns.

    The schedule ends with steps of almost zero; a choice among epochs by few validation images would be one by chance.

    Raises:
        UserError: a batch does not fit the training split, or the training has diverged.
    """
    config, seed = params.classifier, params.seed
    count, size = len(dataset.train), config.batch_size
    loop.check_batch_size("classifier.batch_size", size, count)
    pixels = standardized(dataset.mean, dataset.std)
    images, val, test = (uploaded(split.images, pixels, device) for split in (dataset.train, dataset.val, dataset.test))
    labels = torch.from_numpy(dataset.train.labels).to(device)
    degrees = () if dataset.has_classes else turns(dataset.shape)

    arguments: dict[str, Any] = {"shape": dataset.shape, "classes": dataset.classes, "width": config.width}
    if dataset.stacked:
        arguments["stacked"] = True
    if degrees:
        arguments |= {"classes": len(degrees), "rotations": True}
    model = initialised(lambda: Classifier(**arguments), seed, "classifier/init", device)
    bf16 = uses_bf16(params.compute, device, model)
    logits = lowered(model, bf16, device)  # the network alone: augmentation places pixels exactly
    order, noise = (generator(seed, f"classifier/{name}", device) for name in ("order", "augmentation"))

    def loss(batch: Tensor) -> Scalars:
        given, target = images[batch], labels[batch]
        if config.flip:
            given = flip_half(given, noise)
        if degrees:  # last: a mirror image that is turned is still upright before it is turned
            given, target = turn(given, degrees, noise)
        augmented = shift_and_rotate(given, config.shift, config.rotation, noise)
        return {"train_loss": cross_entropy(logits(augmented).float(), target)}

    optimizer = AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
    schedule = OneCycleLR(optimizer, config.learning_rate, total_steps=config.epochs * (count // size) + 1)
    phases = [Phase("classifier", model, optimizer, "train_loss", loss)]

    parts = (model, optimizer, schedule, order, noise)
    run.log({"bf16": float(bf16)})
    with Epochs("train_classifier", params, run, config.epochs, count, size, SHOWN, ADVICE, *parts) as epochs:
        for _ in epochs:
            model.train()
            for _ in epochs.steps(phases, loop.batches(count, size, order)):
                schedule.step()
            model.eval()
            read, val_labels = _read(model, val, dataset.val.labels, degrees)
            validation = {
                "val_loss": cross_entropy(read, val_labels).item(),
                "val_accuracy": (read.argmax(dim=1) == val_labels).double().mean().item(),
            }
            means = epochs.means()
            epochs.log({"train_loss": means["train_loss"]} | validation, {"grad_norm": means["grad_norm_classifier"]})
        epochs.log_best(val_loss=min, val_accuracy=max)
        curves = epochs.curves

    read, actual = _read(model, test, dataset.test.labels, degrees)
    quality, predicted = reading_quality(read, actual.numpy(), None if degrees else dataset.class_name)
    accuracy = {"epochs": config.epochs, "val_accuracy": validation["val_accuracy"]}
    confusion = pd.DataFrame({"actual": actual.numpy(), "predicted": predicted})
    if degrees:
        confusion = confusion.apply(lambda column: np.take(degrees, column))
    metrics = accuracy | quality | {"machine": machine(device)}
    return Trained(arguments, model.state_dict(), metrics, curves, {"confusion": confusion})


def _read(
    model: Classifier, images: Uploaded, labels: NDArray[np.int64], degrees: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Logits of images [n, C, H, W] and what they ought to name: the ``labels`` [n], or, where ``degrees`` are
    the classes, the place of each image's turn among them, of all images in all turns [n · turns]."""
    if not degrees:
        return in_blocks(model, images), torch.from_numpy(labels)

    def read(by: int) -> Tensor:
        return in_blocks(lambda some: model(turned(some, by)), images)

    return torch.cat([read(by) for by in degrees]), torch.arange(len(degrees)).repeat_interleave(len(labels))


def turn(images: Tensor, degrees: Sequence[int], noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images [B, C, H, W], each turned by one of ``degrees``, uniformly, and the place [B] of its turn among these."""
    chosen = torch.randint(len(degrees), (len(images),), generator=noise, device=images.device)
    every = torch.stack([turned(images, by) for by in degrees])
    return every[chosen, torch.arange(len(images), device=images.device)], chosen


def flip_half(images: Tensor, noise: torch.Generator) -> Tensor:
    """Images [B, C, H, W], each mirrored left to right with a probability of ½."""
    chosen = torch.rand(len(images), 1, 1, 1, generator=noise, device=images.device) < 0.5
    return images.flip(3).where(chosen, images)


def shift_and_rotate(images: Tensor, shift: float, rotation: float, noise: torch.Generator) -> Tensor:
    """Images [B, C, H, W], each moved by up to ``shift`` pixels along each axis and turned by up to ``rotation``
    degrees, uniformly; what comes in from outside repeats the border."""
    count, _, height, width = images.shape
    draws = torch.rand(count, 3, generator=noise, device=images.device) * 2 - 1
    angle = draws[:, 0] * math.radians(rotation)
    # torch's affine_grid multiplies by MKL, in another order on each vendor's processors
    cos, sin = (each.float()[:, None, None] for each in (angle.double().cos(), angle.double().sin()))
    # grids reach from -1 to 1 along both axes, whatever the sides
    right, down = (draws[:, i, None, None] * (2 * shift / side) for i, side in ((1, width), (2, height)))
    x, y = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (width, height))
    y = y[:, None]
    columns = cos * x - sin * (height / width) * y + right
    rows = sin * (width / height) * x + cos * y + down
    grid = torch.stack([columns, rows], dim=3)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
