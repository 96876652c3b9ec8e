"""Training images/s of the VAE, digits in memory as one tensor, against the same network fed by a DataLoader.

Both train on the prepared digits with the params of params.yaml. Run as `python -m benchmarks.training`.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from benchmarks.pairs import Spread, in_turn, seconds
from benchmarks.results import record, table
from genbalance import training
from genbalance.autoencoding import pass_through
from genbalance.compute import generator, initialised, set_up, upload
from genbalance.data import prepared
from genbalance.data.pixels import UNIT
from genbalance.models.vae import Vae
from genbalance.params import Params, read_params

PAIRS = 5


class Pictures(Dataset[torch.Tensor]):
    """The usual way: one picture at a time, through a transform."""

    def __init__(self, digits: prepared.Split) -> None:
        self.pictures = [Image.fromarray(image) for image in digits.images]

    def __len__(self) -> int:
        """How many."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Pixels [1, S, S] in [0, 1]."""
        pixels: torch.Tensor = to_tensor(self.pictures[index])
        return pixels


def trainers(params: Params) -> tuple[Callable[[], None], Callable[[], None], int]:
    """An epoch of ours, an epoch of the reference, and the images of each."""
    device = set_up(params.compute, params.seed, "bench")
    digits = prepared.load(Path("data/prepared"))
    images = upload(digits.train.images, UNIT, device)
    knobs = params.vae
    model = initialised(
        lambda: Vae(knobs.arch, knobs.likelihood, digits.height, knobs.latents, knobs.width, knobs.log_sigma_floor),
        params.seed,
        "bench/init",
        device,
    )
    noise, order = (generator(params.seed, f"bench/{name}", device) for name in ("noise", "order"))
    optimizer = torch.optim.Adam(model.parameters(), knobs.learning_rate)

    def loss_of(pixels: torch.Tensor) -> training.Scalars:
        return {"loss": pass_through(model, pixels, noise).terms.loss(params.beta)}

    in_memory = training.Phase("vae", model, optimizer, "loss", lambda batch: loss_of(images[batch]))
    loaded = training.Phase("vae", model, optimizer, "loss", loss_of)
    loader = DataLoader(Pictures(digits.train), knobs.batch_size, shuffle=True, drop_last=True)

    def ours() -> None:
        for _ in training.steps([in_memory], training.batches(len(images), knobs.batch_size, order)):
            pass

    def reference() -> None:
        for _ in training.steps([loaded], (batch.to(device) for batch in loader)):
            pass

    return ours, reference, len(images) // knobs.batch_size * knobs.batch_size


def main() -> None:
    """Warms up, measures in pairs, prints, records."""
    ours, reference, images = trainers(read_params())
    ours()
    reference()
    pairs = in_turn(lambda: seconds(ours), lambda: seconds(reference), PAIRS)
    rates = [Spread.of([images / taken for taken in side]) for side in (pairs.ours, pairs.reference)]
    print(f"training the VAE, {PAIRS} pairs of epochs")
    print(
        table(
            [
                ["in memory", f"{rates[0]:.0f}", "images/s"],
                ["DataLoader", f"{rates[1]:.0f}", "images/s"],
                ["ratio", f"{pairs.speedup:.2f}", ""],
            ]
        )
    )
    record(
        "training",
        {"in_memory": asdict(rates[0]), "data_loader": asdict(rates[1]), "ratio": asdict(pairs.speedup)},
    )


if __name__ == "__main__":
    main()
