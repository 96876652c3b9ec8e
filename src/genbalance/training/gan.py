"""The GAN's training: L = L_D + λ·L_G, a step of D and a step of G in turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import vmap
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genbalance.data import pictures
from genbalance.data.pixels import SIGNED
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.features import in_blocks
from genbalance.losses import gan as losses
from genbalance.models.gan import Gan, Generator
from genbalance.params import GanConfig, Params
from genbalance.runtime.device import (
    Uploaded,
    download,
    generator,
    initialised,
    lowered,
    uploaded,
    uses_bf16,
)
from genbalance.runtime.machine import machine
from genbalance.runtime.rng import stream_seed
from genbalance.tracking import Run
from genbalance.training import loop
from genbalance.training.alarms import total_variance
from genbalance.training.augmentation import augmented
from genbalance.training.balance import LARGEST_LAMBDA, HeldAccuracy
from genbalance.training.checkpoint import Part
from genbalance.training.clusters import clusters
from genbalance.training.ema import MovingAverage
from genbalance.training.epochs import GRID_COLUMNS, Epochs, Trained
from genbalance.training.federated import Division, Federation
from genbalance.training.loop import Phase, Scalars
from genbalance.training.private import Beside, PrivatePhase, guarantee, poisson_batches
from genbalance.training.unrolling import Applied, look_ahead

HELD_OUT_EVERY = 8  # D steps from one measurement on held-out images to the next, at most
SHOWN = {"loss": "loss_total", "D on held-out": "d_accuracy_held_out"}
SHOWN_ADAPTED = {"λ": "lambda", "D on held-out": "d_accuracy_held_out"}
ADVICE = "a smaller gan.learning_rate, or a lambda nearer 1"


def train(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
    """Trains generator and discriminator; the generator that is kept is the moving average of its weights. With
    `privacy.epsilon` D is trained by private steps, and nothing else sees the training images.

    Raises:
        UserError: a batch, a turn or `privacy.delta` does not fit the training split, or the training has diverged.
    """
    config, seed, privacy = params.gan, params.seed, params.privacy
    count, size = len(dataset.train), config.batch_size
    loop.check_batch_size("gan.batch_size", size, count)
    for name, given in (("conditional", config.conditional), ("rebalance", config.rebalance)):
        loop.check_classes(f"gan.{name}", given, dataset.classes)
    loop.check_turns("gan.d_steps", config.d_steps, count // size)
    division = Division("gan", params, dataset, device, config.d_steps)

    steps = config.epochs * (count // size)
    spends = guarantee(privacy, count, size, steps)

    gan, arguments, real, held_out = build_gan(config, dataset, seed, device, bool(spends) or division.several)
    average = MovingAverage(gan.generator, config.ema_decay)
    bf16 = uses_bf16(params.compute, device, gan)
    noise, penalty, held_out_choice, order, shown, augmentation = (
        generator(seed, f"gan/{name}", device) for name in ("noise", "penalty", "chance", "order", "shown", "augment")
    )

    lr_d, lr_g = losses.step_sizes(config.learning_rate, params.lambda_)  # λ acts as the ratio of step sizes
    d_optimizer = build_optimizer(config, gan.discriminator, lr_d)
    g_optimizer = build_optimizer(config, gan.generator, lr_g)
    streams = (noise, penalty, held_out_choice, augmentation)
    objective = GanObjective(gan, real, held_out, config, d_optimizer, *streams, fewest=division.fewest)
    phases = [
        Phase("d", gan.discriminator, d_optimizer, "objective_d", lowered(objective.loss_d, bf16, device)),
        Phase("g", gan.generator, g_optimizer, "loss_g", lowered(objective.loss_g, bf16, device), config.d_steps),
    ]
    private_noise = generator(seed, "gan/privacy", device)
    if spends:
        phases = [
            PrivatePhase(
                "d",
                gan.discriminator,
                d_optimizer,
                "loss_d",
                loss=objective.loss_of_real,
                draw=objective.real,
                size=size,
                most=privacy.max_grad_norm,
                noise_multiplier=spends.noise_multiplier,
                noise=private_noise,
                beside=Beside(
                    objective.generated,
                    objective.loss_of_generated,
                    lowered(objective.held_out, bf16, device),
                ),
            ),
            Phase(
                "g", gan.generator, g_optimizer, "loss_g", lowered(objective.loss_g_alone, bf16, device), config.d_steps
            ),
        ]
    batches = (
        partial(division.batches, order, config.rebalance)
        if spends is None
        else partial(poisson_batches, count, size, order)
    )
    adapts = config.balance == "accuracy"
    held = HeldAccuracy(params.lambda_, config.target_accuracy, min(LARGEST_LAMBDA, 1 / config.learning_rate))
    fall_d, fall_g = (division.linear_fall(config.lr_decay, p.every) for p in phases)
    schedules = [
        LambdaLR(d_optimizer, fall_d),
        LambdaLR(g_optimizer, lambda done: fall_g(done) * (held.value / params.lambda_)),
    ]

    grid, aucs = SampleGrid(gan, GRID_COLUMNS, shown), list[float]()
    variance = total_variance(dataset.train.images)
    optimizers = (d_optimizer, g_optimizer)

    def a_pass() -> None:
        for scalars in epochs.steps(phases, batches()):
            if adapts and "d_accuracy_held_out" in scalars:
                held.update(float(scalars["d_accuracy_held_out"]))
            for phase, schedule in zip(phases, schedules, strict=True):
                if phase.objective in scalars:
                    schedule.step()
            if "loss_g" in scalars:
                average.update(gan.generator)

    own: tuple[Part, ...] = (gan, average, objective, *optimizers, *schedules, *streams, order)
    federation = Federation("gan", params, division, (gan.generator, gan.discriminator, average.module), own, a_pass)
    parts = (*own, aucs, held, *((private_noise,) if spends else ()), federation)
    printed = SHOWN_ADAPTED if adapts else SHOWN
    run.log({"bf16": float(bf16)})
    with Epochs("train_gan", params, run, config.epochs, division.seen, size, printed, ADVICE, *parts) as epochs:
        for epoch in epochs:
            epochs.log_untrained(lambda: {"samples": grid.draw(average.module)})
            federation.train(epoch, epochs.add_others)
            row = epochs.means()
            row["loss_total"] = losses.total(row["loss_d"], row["loss_g"], held.value)
            samples = grid.images(average.module)
            row["sample_variance"] = total_variance(samples) / variance
            if adapts:
                row["lambda"] = held.value
            epochs.log(row)
            epochs.log_images(samples=grid.arranged(samples))
            aucs.append(row["d_ranking_held_out"])
            if config.stop_when_balanced and losses.balanced(aucs):
                break
        epochs.log_best(d_ranking_held_out=losses.nearest_to_balance)
        curves, grids, alarms = epochs.curves, epochs.grids(), epochs.alarms

    gan.generator = average.module
    parameters = {
        f"{name}_parameters": sum(p.numel() for p in network.parameters())
        for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator))
    }
    if adapts:
        row["lambda_reached"] = row.pop("lambda")
    spent = spends.after(epoch * (count // size)).metrics if spends else {}
    spent |= federation.metrics(epoch)
    metrics = {"epochs": epoch} | parameters | row | alarms | spent | {"machine": machine(device)}
    return Trained(arguments, gan.state_dict(), metrics, curves, grids=grids, kept_epoch=epoch)


@dataclass(frozen=True)
class ConditionedImages:
    """Images [n, C, H, W] in [−1, 1] and their conditions [n], None where the networks take none."""

    images: Uploaded
    conditions: Tensor | None

    def rows(self, which: Tensor) -> tuple[Tensor, Tensor | None]:
        """The images and conditions of some rows."""
        return self.images[which], None if self.conditions is None else self.conditions[which]


def build_gan(
    config: GanConfig, dataset: Prepared, seed: int, device: torch.device, private: bool = False
) -> tuple[Gan, dict[str, Any], ConditionedImages, ConditionedImages]:
    """The untrained networks, the arguments they were made with, and the training and the validation images.

    Where ``config`` asks for clusters or classes, each image has the condition of the nearest cluster (of its class).
    With `gan.rebalance` clusters are found and drawn as if each class had as many images.
    Of ``private`` images, which nothing may see all of, the condition is the class, and nothing of them is kept beside
    it.
    """
    classes = dataset.classes if config.conditional else 0
    train, val = (uploaded(split.images, SIGNED, device) for split in (dataset.train, dataset.val))
    arguments: dict[str, Any] = {
        "arch": config.arch,
        "shape": dataset.shape,
        "latents": config.latents,
        "width": config.width,
        "conditions": 0,
        "classes": classes,
        "spectral": config.spectral_norm,
        "truncation": config.truncation,
    }
    if private and classes:
        found = np.zeros((classes, prod(dataset.shape)), np.float32), np.eye(classes, dtype=np.float32)
        arguments["conditions"] = classes
    elif config.clusters or classes:
        labels = dataset.train.labels if classes else None
        chance = stream_seed(seed, "gan/clusters")
        weights = loop.inverse_shares(dataset.train.labels) if config.rebalance else None
        found = clusters(dataset.train.images, SIGNED, labels, classes, config.clusters, chance, weights)
        arguments["conditions"] = len(found[0])
    gan = initialised(lambda: Gan(**arguments), seed, "gan/init", device)
    if gan.conditions:
        gan.conditions.set(*map(torch.from_numpy, found))

    def with_conditions(images: Uploaded, split: Split) -> ConditionedImages:
        return ConditionedImages(images, gan.conditions_of(images, torch.from_numpy(split.labels).to(device)))

    return gan, arguments, with_conditions(train, dataset.train), with_conditions(val, dataset.val)


def build_optimizer(config: GanConfig, network: nn.Module, learning_rate: float) -> Optimizer:
    """Adam, or plain SGD, of a network's weights."""
    if config.optimizer == "sgd":
        return SGD(network.parameters(), learning_rate, fused=True)
    return Adam(network.parameters(), learning_rate, (config.adam_beta1, config.adam_beta2), fused=True)


class GanObjective:
    """What D and G minimise on a batch. Generated images have the conditions of the real ones of the same batch.

    D sees all images, real and generated, in either network's step, changed by ``gan.augment``; the slopes that
    penalties are taken of are those of D behind it (as in Karras et al. 2020, arXiv:2006.06676).

    Args:
        gan: both networks.
        train: the images that D sees as real.
        held_out: real images that D is never trained on.
        config: loss, penalties, augmentation and the steps that G looks ahead.
        d_optimizer: D's, whose steps G looks ahead through.
        noise: the stream of latents.
        penalty: the stream of the points where the gradient penalty is taken.
        choice: the stream that chooses held-out images.
        augmentation: the stream of the augmentation.
        fewest: images of a pass, where not all of ``train``.
    """

    def __init__(
        self,
        gan: Gan,
        train: ConditionedImages,
        held_out: ConditionedImages,
        config: GanConfig,
        d_optimizer: Optimizer,
        noise: torch.Generator,
        penalty: torch.Generator,
        choice: torch.Generator,
        augmentation: torch.Generator,
        fewest: int | None = None,
    ) -> None:
        self.g, self.d = gan.generator, gan.discriminator
        self._train, self._held_out, self._config, self._d_optimizer = train, held_out, config, d_optimizer
        self._noise, self._penalty, self._choice, self._augmentation = noise, penalty, choice, augmentation
        self._losses = losses.LOSSES[config.loss]
        self._d_steps = 0
        turns = (fewest or len(train.images)) // config.batch_size
        self._held_out_every = min(HELD_OUT_EVERY, max(1, turns))  # once a pass

    def loss_d(self, batch: Tensor) -> Scalars:
        """``objective_d``, which D minimises: L_D and the penalties; with its terms and D's accuracies."""
        real, conditions = self._train.rows(batch)
        with torch.no_grad():
            generated = self._generate(conditions, len(batch))
        config, step = self._config, self._d_steps
        self._d_steps += 1
        is_due = config.loss != "wasserstein" and step % config.r1_every == 0
        has_r1, has_r2 = is_due and config.r1 > 0, is_due and config.r2 > 0
        if has_r1:
            real = real.requires_grad_()
        if has_r2:
            generated = generated.to(real.dtype).requires_grad_()
        on_real, on_generated = (self._seen(self.d, images, conditions) for images in (real, generated))
        loss = self._losses.d(on_real, on_generated)
        scalars = {
            "loss_d": loss,
            "d_accuracy_real": (on_real > 0).float().mean(),
            "d_accuracy_generated": (on_generated < 0).float().mean(),
        }
        total = loss
        if has_r1:
            scalars["r1"] = losses.slope_penalty(on_real, real)
            total = total + config.r1 * config.r1_every * scalars["r1"]
        if has_r2:
            scalars["r2"] = losses.slope_penalty(on_generated, generated)
            total = total + config.r2 * config.r1_every * scalars["r2"]
        if config.loss == "wasserstein":  # whose penalty wants slopes of 1, where R1 and R2 want none
            uniform = torch.rand(len(batch), generator=self._penalty, device=real.device)
            scalars["gradient_penalty"] = losses.gradient_penalty(
                lambda between: self._seen(self.d, between, conditions), real.detach(), generated, uniform
            )
            total = total + config.gradient_penalty * scalars["gradient_penalty"]
        if step % self._held_out_every == 0:
            scalars |= self._held_out_scalars(on_generated)
        return scalars | {"objective_d": total}

    def loss_g(self, batch: Tensor) -> Scalars:
        """``loss_g``, which G minimises: L_G, with D after ``gan.unrolled_steps`` further steps.

        Those are on L_D without penalties, all of them on this batch and the images that G makes here (Metz et al. 2017
        keep the minibatch as well); augmentation and dropout are drawn anew for each.
        """
        real, conditions = self._train.rows(batch)
        generated = self._generate(conditions, len(batch))

        def logits(d: Applied) -> tuple[Tensor, Tensor]:
            return self._seen(d, real, conditions), self._seen(d, generated, conditions)

        d: Applied = self.d
        if self._config.unrolled_steps:
            steps = self._config.unrolled_steps
            d = look_ahead(self.d, self._d_optimizer, lambda d: self._losses.d(*logits(d)), steps)
        on_real, on_generated = logits(d) if self._losses.paired else (None, self._seen(d, generated, conditions))
        return {"loss_g": self._losses.g(on_real, on_generated)}

    def real(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The images of these indices as D sees them, and their conditions, if there are any."""
        images, conditions = self._train.rows(batch)
        return self._inputs(augmented(images, self._config.augment, self._augmentation), conditions)

    def generated(self) -> tuple[Tensor, ...]:
        """A batch of generated images of the mean size as D sees them, and their conditions, all drawn without a look
        at the training images."""
        conditions = self._uniform_conditions()
        with torch.no_grad():
            images = self._generate(conditions, self._config.batch_size)
        return self._inputs(augmented(images, self._config.augment, self._augmentation), conditions)

    @staticmethod
    def _inputs(images: Tensor, conditions: Tensor | None) -> tuple[Tensor, ...]:
        return (images,) if conditions is None else (images, conditions)

    def loss_of_real(self, images: Tensor, conditions: Tensor | None = None) -> Scalars:
        """``loss_d`` of each real image [B], L_D but for the generated ones, and whether D is right."""
        logits = self.d(images, conditions)
        return {"loss_d": self._alone(logits, real=True), "d_accuracy_real": (logits > 0).float()}

    def loss_of_generated(self, images: Tensor, conditions: Tensor | None = None) -> Scalars:
        """``loss_d`` of each generated image [B], L_D but for the real ones, and whether D is right."""
        logits = self.d(images, conditions)
        return {"loss_d": self._alone(logits, real=False), "d_accuracy_generated": (logits < 0).float()}

    def held_out(self, images: Tensor, conditions: Tensor | None = None) -> Scalars:
        """D on held-out images, beside these generated ones, at the steps when that is due."""
        step = self._d_steps
        self._d_steps += 1
        if step % self._held_out_every:
            return {}
        with torch.no_grad():
            return self._held_out_scalars(self.d(images, conditions))

    def loss_g_alone(self, _: Tensor) -> Scalars:
        """``loss_g`` of a batch of the mean size, with conditions that no training image has a part in."""
        conditions = self._uniform_conditions()
        images = self._generate(conditions, self._config.batch_size)
        return {"loss_g": self._losses.g(None, self._seen(self.d, images, conditions))}

    def _alone(self, logits: Tensor, real: bool) -> Tensor:
        """L_D of each logit [B] of a real or of a generated image alone. L_D is a sum of two terms, where it is not of
        pairs: with a logit of 0 in the place of the other, and half of L_D at two of 0 taken away, the two are that
        sum."""
        zero = logits.new_zeros(())

        def d(logit: Tensor) -> Tensor:
            return self._losses.d(logit, zero) if real else self._losses.d(zero, logit)

        return vmap(d)(logits) - d(zero) / 2

    def _uniform_conditions(self) -> Tensor | None:
        count = self.g.conditions
        if not count:
            return None
        return torch.randint(count, (self._config.batch_size,), generator=self._noise, device=self._noise.device)

    def state_dict(self) -> dict[str, Any]:
        """The number of D's steps, which decides when penalties and held-out images are due."""
        return {"d_steps": self._d_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        self._d_steps = state_dict["d_steps"]

    def _generate(self, conditions: Tensor | None, count: int) -> Tensor:
        images: Tensor = self.g(self.g.draw(count, self._noise), conditions)
        return images

    def _seen(self, d: Applied, images: Tensor, conditions: Tensor | None) -> Tensor:
        """The logits that ``d``, with whatever weights, gives images, which it sees augmented."""
        return d(augmented(images, self._config.augment, self._augmentation), conditions)

    def _held_out_scalars(self, on_generated: Tensor) -> Scalars:
        """D on held-out real images, augmented as all that D sees in training, so that they compare with the real ones
        it was trained on: its accuracy, and its AUC, the share of pairs with a generated image in which the real one
        has the higher logit; ½ where D cannot tell them apart."""
        rows = torch.randint(
            len(self._held_out.images), on_generated.shape, generator=self._choice, device=on_generated.device
        )
        with torch.no_grad():
            logits = self._seen(self.d, *self._held_out.rows(rows))
        return {
            "d_accuracy_held_out": (logits > 0).float().mean(),
            "d_ranking_held_out": (logits > on_generated).float().mean(),
        }


class SampleGrid:
    """A grid of samples from the same latents and conditions each time, in order of class where the GAN has classes.

    Args:
        gan: draws latents and conditions.
        columns: of the grid, and its rows.
        noise: the stream that they are drawn from.
    """

    def __init__(self, gan: Gan, columns: int, noise: torch.Generator) -> None:
        count = columns**2
        labels = torch.arange(count, device=noise.device) % gan.classes if gan.classes else None
        self._columns, self._values = columns, prod(gan.shape)
        self._inputs = gan.draw_latents(count, noise), gan.draw_conditions(count, noise, labels)

    def images(self, generator: Generator) -> NDArray[np.uint8]:
        """The samples [n, H, W(, 3)]."""
        return download(in_blocks(generator, *self._inputs, values=self._values), SIGNED)

    def arranged(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Such samples as one picture."""
        return pictures.grid(images, self._columns)

    def draw(self, generator: Generator) -> NDArray[np.uint8]:
        """The grid as one picture [H, W]."""
        return self.arranged(self.images(generator))
