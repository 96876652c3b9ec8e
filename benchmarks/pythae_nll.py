"""pythae's get_nll over a few images: run by the interpreter of `benchmarks.pythae_environment`, not by the project's.

    python benchmarks/pythae_nll.py vae.safetensors images.npy DRAWS THREADS

The weights are those of `genbalance.models.vae.Vae`, a perceptron with a Bernoulli likelihood; the images are binary,
[n, C, H, W]. Prints {"seconds": …, "nll": [n numbers in nats]} as JSON. Without gradients, the networks in evaluation
mode, everything else as get_nll has it.
"""

import json
import sys
import time

import numpy as np
import torch
from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found]
from pythae.models.base.base_utils import ModelOutput  # type: ignore[import-not-found]
from pythae.models.nn import BaseDecoder, BaseEncoder  # type: ignore[import-not-found]
from safetensors.torch import load_file
from torch import Tensor, nn


def perceptron(weights: dict[str, Tensor], part: str) -> nn.Sequential:
    """The encoder's or the decoder's linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    names = (name.removesuffix(".weight") for name in weights if name.startswith(part) and name.endswith(".weight"))
    for name in sorted(names):
        outputs, inputs = weights[f"{name}.weight"].shape
        layer = nn.Linear(inputs, outputs)
        layer.load_state_dict({kind: weights[f"{name}.{kind}"] for kind in ("weight", "bias")})
        layers += [layer, nn.SiLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


class Encoder(BaseEncoder):  # type: ignore[misc]
    """x → mean and log variance of q(z|x)."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, images: Tensor) -> ModelOutput:
        """Of images [B, 1, S, S]."""
        mean, log_variance = self.layers(images.flatten(1)).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """z → the pixels' probabilities."""

    def __init__(self, layers: nn.Sequential, shape: torch.Size) -> None:
        super().__init__()
        self.layers, self.shape = layers, shape

    def forward(self, latents: Tensor) -> ModelOutput:
        """Of latents [B, L]."""
        return ModelOutput(reconstruction=self.layers(latents).sigmoid().view(-1, *self.shape))


def main(weights_file: str, images_file: str, draws: int, threads: int) -> None:
    """One image without a clock, then all of them."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    weights = load_file(weights_file)
    images = torch.from_numpy(np.load(images_file, allow_pickle=False)).float()
    decoder = Decoder(perceptron(weights, "decoder"), images.shape[1:])
    config = VAEConfig(
        input_dim=tuple(images.shape[1:]),
        latent_dim=decoder.layers[0].in_features,
        reconstruction_loss="bce",
    )
    model = VAE(config, Encoder(perceptron(weights, "encoder")), decoder).eval()
    with torch.inference_mode():
        model.get_nll(images[:1], n_samples=draws)
        begun = time.perf_counter()
        # one image a call, which is how it goes through them anyway, to have the value of each: log p(x)
        nll = [-float(model.get_nll(image, n_samples=draws)) for image in images.split(1)]
        print(json.dumps({"seconds": time.perf_counter() - begun, "nll": nll}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
