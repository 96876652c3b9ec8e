"""The reference classifier's training: cross-entropy on shifted and rotated digits."""

import math

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from genbalance.data.pixels import standardized
from genbalance.data.prepared import Prepared
from genbalance.evaluation.calibration import reading_quality
from genbalance.evaluation.features import in_blocks
from genbalance.models.classifier import Classifier
from genbalance.params import Params
from genbalance.runtime.device import compile_on_gpu, generator, initialised, lowered, upload, uses_bf16
from genbalance.runtime.machine import machine
from genbalance.tracking import Run
from genbalance.training import loop
from genbalance.training.epochs import Epochs, Trained
from genbalance.training.loop import Phase, Scalars

SHOWN = {"loss": "val_loss", "accuracy": "val_accuracy"}  # of the validation images
ADVICE = "a smaller classifier.learning_rate"


def train(params: Params, digits: Prepared, device: torch.device, run: Run) -> Trained:
    """Trains the classifier, keeps the last epoch and tests it.

    The schedule ends with steps of almost zero; a choice among epochs by few validation images would be one by chance.

    Raises:
        UserError: a batch does not fit the training split, or the training has diverged.
    """
    config, seed = params.classifier, params.seed
    count, size = len(digits.train), config.batch_size
    loop.check_batch_size("classifier.batch_size", size, count)
    pixels = standardized(digits.mean, digits.std)
    images, val, test = (upload(split.images, pixels, device) for split in (digits.train, digits.val, digits.test))
    labels, val_labels = torch.from_numpy(digits.train.labels).to(device), torch.from_numpy(digits.val.labels)

    arguments = {"size": digits.height, "classes": digits.classes, "width": config.width}
    model = initialised(lambda: Classifier(**arguments), seed, "classifier/init", device)
    compile_on_gpu(params.compute, device, model)
    bf16 = uses_bf16(params.compute, device, model)
    logits = lowered(model, bf16, device)  # the network alone: augmentation places pixels exactly
    order, noise = (generator(seed, f"classifier/{name}", device) for name in ("order", "augmentation"))

    def loss(batch: Tensor) -> Scalars:
        augmented = shift_and_rotate(images[batch], config.shift, config.rotation, noise)
        return {"train_loss": cross_entropy(logits(augmented).float(), labels[batch])}

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
            read = in_blocks(model, val)
            validation = {
                "val_loss": cross_entropy(read, val_labels).item(),
                "val_accuracy": (read.argmax(dim=1) == val_labels).double().mean().item(),
            }
            means = epochs.means()
            epochs.log({"train_loss": means["train_loss"]} | validation, {"grad_norm": means["grad_norm_classifier"]})
        epochs.log_best(val_loss=min, val_accuracy=max)
        curves = epochs.curves

    quality, predicted = reading_quality(in_blocks(model, test), digits.test.labels)
    accuracy = {"epochs": config.epochs, "val_accuracy": validation["val_accuracy"]}
    confusion = pd.DataFrame({"actual": digits.test.labels, "predicted": predicted})
    metrics = accuracy | quality | {"machine": machine(device)}
    return Trained(arguments, model.state_dict(), metrics, curves, {"confusion": confusion})


def shift_and_rotate(images: Tensor, shift: float, rotation: float, noise: torch.Generator) -> Tensor:
    """Images [B, 1, S, S], each moved by up to ``shift`` pixels along each axis and turned by up to ``rotation``
    degrees, uniformly; what comes in from outside repeats the border."""
    count, _, _, size = images.shape
    draws = torch.rand(count, 3, generator=noise, device=images.device) * 2 - 1
    angle = draws[:, 0] * math.radians(rotation)
    move = draws[:, 1:] * (2 * shift / size)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([cos, -sin, move[:, 0]], dim=1), torch.stack([sin, cos, move[:, 1]], dim=1)]
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
