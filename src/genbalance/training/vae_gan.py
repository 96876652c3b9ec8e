"""The VAE-GAN's training: L = L_recon + β·L_KL + λ·L_G, with L_recon on the discriminator's features.

Larsen et al. 2016 (arXiv:1512.09300), algorithm 1. Three steps for each batch: D's; encoder and decoder on
L_recon + β·L_KL; and the decoder, which is the generator, on L_G. λ acts as it does in the GAN, as the ratio of the
sizes of the last step and of D's: Adam divides out a loss's scale, and the gradient of L_recon is hundreds of times
that of L_G, so that a factor in their sum would have no effect.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from genbalance.data import pictures
from genbalance.data.pixels import SIGNED
from genbalance.data.prepared import Prepared
from genbalance.evaluation.features import in_blocks
from genbalance.evaluation.latents import active_units, kl_per_latent
from genbalance.losses import gan as losses
from genbalance.losses.vae import kl_to_normal
from genbalance.losses.vae_gan import feature_distortion, vae_loss
from genbalance.models.vae_gan import Autoencoder, VaeGan
from genbalance.params import Params, VaeGanConfig
from genbalance.runtime.device import (
    Uploaded,
    download,
    generator,
    initialised,
    lowered,
    upload,
    uploaded,
    uses_bf16,
)
from genbalance.runtime.machine import machine
from genbalance.tracking import Run
from genbalance.training import loop
from genbalance.training.alarms import total_variance
from genbalance.training.checkpoint import Part
from genbalance.training.ema import MovingAverage
from genbalance.training.epochs import GRID_COLUMNS, Epochs, Trained
from genbalance.training.loop import Phase, Scalars

LOSS = losses.LOSSES["non_saturating"]
SHOWN = {"D on held-out": "d_accuracy_held_out", "KL": "val_rate"}
ADVICE = "a smaller vae_gan.learning_rate, or a lambda nearer 1"


def train(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
    """Trains encoder, decoder and discriminator; encoder and decoder are kept as the moving average of their weights.

    Raises:
        UserError: a batch does not fit the training split, or the training has diverged.
    """
    config, seed = params.vae_gan, params.seed
    count, size = len(dataset.train), config.batch_size
    loop.check_batch_size("vae_gan.batch_size", size, count)
    images, val = (uploaded(split.images, SIGNED, device) for split in (dataset.train, dataset.val))

    arguments: dict[str, Any] = {
        "shape": dataset.shape,
        "latents": config.latents,
        "width": config.width,
        "encoder_width": config.encoder_width,
    }
    model = initialised(lambda: VaeGan(**arguments), seed, "vae_gan/init", device)
    autoencoder, discriminator = model.autoencoder, model.discriminator
    average = MovingAverage(autoencoder, config.ema_decay)
    bf16 = uses_bf16(params.compute, device, model)
    noise, order, shown = (generator(seed, f"vae_gan/{name}", device) for name in ("noise", "order", "shown"))

    objective = VaeGanObjective(model, images, params.beta, config, noise)
    betas = (config.adam_beta1, config.adam_beta2)
    lr, lr_g = losses.step_sizes(config.learning_rate, params.lambda_)
    d_optimizer = Adam(discriminator.parameters(), lr, betas, fused=True)
    vae_optimizer = Adam(autoencoder.parameters(), lr, betas, fused=True)
    g_optimizer = Adam(autoencoder.decoder.parameters(), lr_g, betas, fused=True)
    phases = [
        Phase("d", discriminator, d_optimizer, "objective_d", lowered(objective.loss_d, bf16, device)),
        Phase("vae", autoencoder, vae_optimizer, "loss_vae", lowered(objective.loss_vae, bf16, device)),
        Phase("g", autoencoder.decoder, g_optimizer, "loss_g", lowered(objective.loss_g, bf16, device)),
    ]
    fall = loop.linear_fall(config.epochs * (count // size), config.lr_decay)
    schedules = [LambdaLR(phase.optimizer, fall) for phase in phases]

    latents = autoencoder.draw(GRID_COLUMNS**2, shown)
    grids = Grids(latents, dataset.val.images[: GRID_COLUMNS**2 // 2])
    variance = total_variance(dataset.train.images)
    optimizers = (d_optimizer, vae_optimizer, g_optimizer)
    parts: tuple[Part, ...] = (model, average, objective, *optimizers, *schedules, noise, order)
    run.log({"bf16": float(bf16)})
    with Epochs("train_vae_gan", params, run, config.epochs, count, size, SHOWN, ADVICE, *parts) as epochs:
        for _ in epochs:
            epochs.log_untrained(lambda: grids.draw(average.module, grids.samples(average.module)))
            for _ in epochs.steps(phases, loop.batches(count, size, order)):
                for schedule in schedules:
                    schedule.step()
                average.update(autoencoder)
            row, kl = epochs.means(), validation_kl(average.module, val)
            row |= validation_metrics(average.module, discriminator, val, kl)
            samples = grids.samples(average.module)
            row["sample_variance"] = total_variance(samples) / variance
            epochs.log(row)
            epochs.log_images(**grids.draw(average.module, samples))
        curves, images_of_epochs, alarms = epochs.curves, epochs.grids(), epochs.alarms

    model.autoencoder = average.module
    parameters = {
        f"{name}_parameters": sum(p.numel() for p in network.parameters())
        for name, network in (("autoencoder", autoencoder), ("discriminator", discriminator))
    }
    metrics = {"epochs": config.epochs} | parameters | row | alarms | {"machine": machine(device)}
    table = pd.DataFrame({"latent": range(len(kl)), "kl": kl})
    return Trained(
        arguments, model.state_dict(), metrics, curves, {"kl_per_latent": table}, images_of_epochs, config.epochs
    )


class VaeGanObjective:
    """What the three steps minimise on a batch.

    Args:
        model: all networks.
        images: the training images [n, C, H, W] in [−1, 1].
        beta: β.
        config: the penalty.
        noise: the stream of latents, of the prior and of q(z|x).
    """

    def __init__(
        self, model: VaeGan, images: Uploaded, beta: float, config: VaeGanConfig, noise: torch.Generator
    ) -> None:
        self._model, self._images, self._beta, self._config, self._noise = model, images, beta, config, noise
        self._d_steps = 0

    def loss_d(self, batch: Tensor) -> Scalars:
        """``objective_d``, which D minimises: L_D and R1. Generated images are samples of the prior and
        reconstructions, as many of each."""
        config, real = self._config, self._images[batch]
        with torch.no_grad():
            generated = torch.cat([self._reconstruct(real), self._sample(len(batch))])
        has_r1 = config.r1 > 0 and self._d_steps % config.r1_every == 0
        self._d_steps += 1
        if has_r1:
            real = real.requires_grad_()
        on_real, on_generated = self._model.discriminator(real), self._model.discriminator(generated)
        loss = total = LOSS.d(on_real, on_generated)
        if has_r1:
            total = total + config.r1 * config.r1_every * losses.slope_penalty(on_real, real)
        return {
            "loss_d": loss,
            "d_accuracy_real": (on_real > 0).float().mean(),
            "d_accuracy_generated": (on_generated < 0).float().mean(),
            "objective_d": total,
        }

    def loss_vae(self, batch: Tensor) -> Scalars:
        """``loss_vae`` = L_recon + β·L_KL, which encoder and decoder minimise, and its terms; nats per image."""
        images = self._images[batch]
        posterior = self._model.autoencoder.encode(images)
        reconstructed = self._model.autoencoder.decode(posterior.draw(self._standard_normal(len(batch))).latents)
        with torch.no_grad():
            features = self._model.features(images)
        distortion = feature_distortion(features, self._model.features(reconstructed))
        rate = kl_to_normal(posterior).sum(dim=1).mean()
        return {"loss_vae": vae_loss(distortion, rate, self._beta), "train_distortion": distortion, "train_rate": rate}

    def loss_g(self, batch: Tensor) -> Scalars:
        """``loss_g`` = L_G of samples of the prior, which the decoder minimises."""
        return {"loss_g": LOSS.g(None, self._model.discriminator(self._sample(len(batch))))}

    def state_dict(self) -> dict[str, Any]:
        """The number of D's steps, which decides when R1 is due."""
        return {"d_steps": self._d_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        self._d_steps = state_dict["d_steps"]

    def _standard_normal(self, count: int) -> Tensor:
        return self._model.autoencoder.draw(count, self._noise)

    def _sample(self, count: int) -> Tensor:
        return self._model.autoencoder.decode(self._standard_normal(count))

    def _reconstruct(self, images: Tensor) -> Tensor:
        posterior = self._model.autoencoder.encode(images)
        return self._model.autoencoder.decode(posterior.draw(self._standard_normal(len(images))).latents)


def validation_kl(autoencoder: Autoencoder, images: Uploaded) -> NDArray[np.float64]:
    """The KL of each latent on validation images, nats per image: [L]."""
    moments = in_blocks(lambda some: torch.cat(_moments(autoencoder, some), dim=1), images).double().numpy()
    means, deviations = np.split(moments, 2, axis=1)
    return kl_per_latent(means, deviations)


def validation_metrics(
    autoencoder: Autoencoder, discriminator: nn.Module, images: Uploaded, kl: NDArray[np.float64]
) -> dict[str, float]:
    """On validation images, which D is never trained on: its accuracy, the rate, and the number of active units."""
    logits = in_blocks(discriminator, images)
    means = in_blocks(lambda some: autoencoder.encode(some).mean, images).numpy()
    return {
        "d_accuracy_held_out": float((logits > 0).double().mean()),
        "val_rate": float(kl.sum()),
        "active_units": active_units(means),
    }


def _moments(autoencoder: Autoencoder, images: Tensor) -> tuple[Tensor, Tensor]:
    posterior = autoencoder.encode(images)
    return posterior.mean, posterior.stddev


class Grids:
    """Samples from the same latents each time, and the same images with their reconstructions.

    Args:
        latents: of the samples [n, L].
        originals: uint8 images [m, H, W] or [m, H, W, 3].
    """

    def __init__(self, latents: Tensor, originals: NDArray[np.uint8]) -> None:
        self._latents, self._originals = latents, originals
        self._images = upload(originals, SIGNED, latents.device)

    def samples(self, autoencoder: Autoencoder) -> NDArray[np.uint8]:
        """The samples [n, H, W(, 3)]."""
        return self._drawn(autoencoder.decode, self._latents)

    def draw(self, autoencoder: Autoencoder, samples: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
        """``samples``, and ``reconstructions``: rows of originals, each above the row of their reconstructions."""
        rebuilt = self._drawn(autoencoder.reconstruct, self._images)
        columns = min(GRID_COLUMNS, len(self._originals))
        pairs = pictures.alternate_rows(self._originals, rebuilt, columns)
        return {"samples": pictures.grid(samples, GRID_COLUMNS), "reconstructions": pictures.grid(pairs, columns)}

    def _drawn(self, network: Callable[[Tensor], Tensor], inputs: Tensor) -> NDArray[np.uint8]:
        return download(in_blocks(network, inputs, values=self._images[0].numel()), SIGNED)
