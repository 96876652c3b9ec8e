"""pythae's trainer on a VAE: run by the interpreter of `benchmarks.pythae_environment`, not by the project's.

    python benchmarks/pythae_training.py images.npy LATENTS WIDTH BATCH LEARNING_RATE THREADS EPOCHS

The images are uint8 [n, S, S]. Prints the seconds of each epoch but the first as JSON. A perceptron
S²-width-width-latents with SiLU and its mirror, binary cross-entropy, Adam, everything else as pythae has it unasked.
"""

import contextlib
import io
import itertools
import json
import logging
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset  # type: ignore[import-not-found]
from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found]
from pythae.models.base.base_utils import ModelOutput  # type: ignore[import-not-found]
from pythae.models.nn import BaseDecoder, BaseEncoder  # type: ignore[import-not-found]
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # type: ignore[import-not-found]
from torch import Tensor, nn


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


class Encoder(BaseEncoder):  # type: ignore[misc]
    """x → mean and log variance of q(z|x)."""

    def __init__(self, pixels: int, width: int, latents: int) -> None:
        super().__init__()
        self.layers = perceptron(pixels, width, width, 2 * latents)

    def forward(self, images: Tensor) -> ModelOutput:
        """Of images [B, 1, S, S]."""
        mean, log_variance = self.layers(images.flatten(1)).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """z → the pixels' probabilities."""

    def __init__(self, side: int, width: int, latents: int) -> None:
        super().__init__()
        self.side, self.layers = side, perceptron(latents, width, width, side**2)

    def forward(self, latents: Tensor) -> ModelOutput:
        """Of latents [B, L]."""
        return ModelOutput(reconstruction=self.layers(latents).sigmoid().view(-1, 1, self.side, self.side))


class Timed(BaseTrainer):  # type: ignore[misc]
    """Takes the time of each epoch's training."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.took: list[float] = []
        super().__init__(*args, **kwargs)

    def train_step(self, epoch: int) -> Any:
        """What pythae calls an epoch's training."""
        begun = time.perf_counter()
        loss = super().train_step(epoch)
        self.took.append(time.perf_counter() - begun)
        return loss


def main(file: str, latents: int, width: int, batch: int, learning_rate: float, threads: int, epochs: int) -> None:
    """Trains with one epoch more than it reports."""
    torch.set_num_threads(threads)
    images = torch.from_numpy(np.load(file, allow_pickle=False)).float()[:, None] / 255
    side = images.shape[-1]
    config = VAEConfig(input_dim=(1, side, side), latent_dim=latents, reconstruction_loss="bce")
    model = VAE(config, Encoder(side**2, width, latents), Decoder(side, width, latents))
    logging.disable()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # its bar goes there
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs + 1,
            per_device_train_batch_size=batch,
            learning_rate=learning_rate,
            no_cuda=True,
        )
        trainer = Timed(model, BaseDataset(images, torch.zeros(len(images))), training_config=settings)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    print(json.dumps(trainer.took[1:]))


if __name__ == "__main__":
    name, hidden, size, images_a_step, rate, cores, count = sys.argv[1:]
    main(name, int(hidden), int(size), int(images_a_step), float(rate), int(cores), int(count))
