"""A VAE's lessons: the network before its training, what it minimises on a batch, how it does on digits that it is not
trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbalance.autoencoding import Account, pass_through
from genbalance.compute import initialised
from genbalance.data.prepared import Prepared
from genbalance.evaluation.latents import active_units
from genbalance.models.vae import Vae
from genbalance.objectives.vae import warmed_up
from genbalance.params import Vae as Knobs
from genbalance.training import Scalars


def fresh(knobs: Knobs, digits: Prepared, seed: int, device: torch.device) -> tuple[Vae, dict[str, Any]]:
    """The network, and the arguments that it was made with."""
    config: dict[str, Any] = {
        "arch": knobs.arch,
        "likelihood": knobs.likelihood,
        "size": digits.height,
        "latents": knobs.latents,
        "width": knobs.width,
        "log_sigma_floor": knobs.log_sigma_floor,
        "prior": knobs.prior,
        "classes": digits.classes if knobs.conditional else 0,
    }
    return initialised(lambda: Vae(**config), seed, "vae/init", device), config


@dataclass(frozen=True)
class Lesson:
    """L = L_recon + β·L_KL on batches of training digits.

    ``pixels`` [n, 1, S, S] in [0, 1], ``labels`` [n] where the model is conditional, ``noise`` the stream of ε and of
    binary draws; ``steps`` tells how many have been made, for the KL's warm-up.
    """

    model: Vae
    pixels: Tensor
    labels: Tensor | None
    beta: float
    knobs: Knobs
    noise: torch.Generator
    steps: Callable[[], int]

    def loss(self, batch: Tensor) -> Scalars:
        """``train_loss``, which is minimised, and its unweighted terms; nats per image."""
        told = self.labels[batch] if self.labels is not None else None
        terms = pass_through(self.model, self.pixels[batch], self.noise, told, self.knobs.importance_samples).terms
        warm_up = self.knobs.kl_warmup * (len(self.pixels) // self.knobs.batch_size)
        done = (self.steps() + 1) / warm_up if warm_up else 1.0
        return {
            "train_loss": terms.loss(warmed_up(self.beta, done), self.knobs.free_bits),
            "train_distortion": terms.distortion.mean(),
            "train_rate": terms.rate.mean(),
        }


def examined(valued: Account, beta: float) -> dict[str, float]:
    """The validation's numbers: loss and terms, nats per image, and how many latents are in use."""
    return {
        "val_loss": valued.loss(beta),
        "val_distortion": float(valued.distortion.mean()),
        "val_rate": valued.rate,
        "active_units": active_units(valued.means),
    }
