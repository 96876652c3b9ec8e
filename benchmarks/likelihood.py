"""The importance-weighted bound on −log p(x), against pythae's get_nll: the same network, digits and number of draws.

On the CPU, on the prepared images. Run as `python -m benchmarks.likelihood`.
"""

import itertools
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.bounds import Ours, Pythae, agreement
from benchmarks.pairs import Spread, in_turn
from benchmarks.pythae_environment import interpreter
from benchmarks.results import record, table
from genbalance.data import prepared
from genbalance.data.pixels import UNIT
from genbalance.losses.vae import binarize, vae_output
from genbalance.models import weights
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised, set_up, upload
from genbalance.runtime.errors import UserError
from genbalance.training import loop

PAIRS = 3
CASES = ((5000, 30), (100, 500))  # draws an image: the literature's, and what get_nll takes unasked; and images
STEPS = 500  # of the training
ARCHITECTURE: dict[str, Any] = {
    "arch": "mlp",
    "likelihood": "bernoulli",
    "latents": 40,
    "width": 512,
    "log_sigma_floor": 0.0,
}


def trained(dataset: Tensor, seed: int, steps: int) -> tuple[Vae, dict[str, Any]]:
    """A perceptron that has learned something of digits [n, C, H, W], C·H·W-512-512-40, and its constructor's
    arguments."""
    config = {**ARCHITECTURE, "shape": [*dataset.shape[1:]]}
    model = initialised(lambda: Vae(**config), seed, "bench/likelihood/init", dataset.device)
    noise, order = (generator(seed, f"bench/likelihood/{name}") for name in ("noise", "order"))
    phase = loop.Phase(
        "vae",
        model,
        torch.optim.Adam(model.parameters()),
        "loss",
        lambda batch: {"loss": vae_output(model, dataset[batch], noise).terms.loss(1.0)},
    )
    epochs = (loop.batches(len(dataset), min(128, len(dataset)), order) for _ in itertools.count())
    for _ in itertools.islice(loop.steps([phase], itertools.chain.from_iterable(epochs)), steps):
        pass
    return model.eval(), config


def compared(ours: Ours, pythae: Pythae, pairs: int) -> dict[str, Any]:
    """Images/s of both, the ratio, and whether they agree."""
    ours()
    measured = in_turn(ours, pythae, pairs)
    assert ours.nll is not None
    assert pythae.nll is not None
    difference, error = agreement(ours.nll, pythae.nll)
    return {
        "draws": ours.draws,
        "images": len(ours.images),
        "ours_images_s": asdict(Spread.of([len(ours.images) / taken for taken in measured.ours])),
        "pythae_images_s": asdict(Spread.of([len(ours.images) / taken for taken in measured.reference])),
        "ratio": asdict(measured.speedup),
        "nll_ours": float(ours.nll.mean()),
        "nll_pythae": float(pythae.nll.mean()),
        "difference": difference,
        "standard_error": error,
    }


def main() -> None:
    """Trains the network, measures in pairs, prints, records."""
    params = read_params()
    compute = params.compute.model_copy(update={"device": "cpu"})
    device = set_up(compute, params.seed, "bench/likelihood")
    try:
        python = interpreter()
    except UserError as error:
        print(f"likelihood: left out: {error}")
        record("likelihood", {"left_out": str(error)})
        return
    dataset = prepared.load(Path("data/prepared"))
    model, config = trained(upload(dataset.train.images, UNIT, device), params.seed, STEPS)
    pixels, noise = upload(dataset.test.images, UNIT, device), generator(params.seed, "bench/likelihood/test")
    images = binarize(pixels, torch.rand(pixels.shape, generator=noise))
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights.save(folder / "vae.safetensors", config, model.state_dict())
        for draws, count in CASES:
            some = images[:count]
            np.save(folder / "images.npy", some.to(torch.uint8).numpy())
            pythae = Pythae(python, folder / "vae.safetensors", folder / "images.npy", draws, compute.threads)
            found.append(compared(Ours(model, some, draws, noise), pythae, PAIRS))
    print(f"−log p(x) of a VAE {images[0].numel()}-512-512-40, {compute.threads} threads, {PAIRS} pairs")
    rows = [["draws", "ours, images/s", "pythae, images/s", "ratio", "ours, nats", "difference"]]
    for case in found:
        rates = (Spread(**case[name]) for name in ("ours_images_s", "pythae_images_s", "ratio"))
        rows.append(
            [
                str(case["draws"]),
                *(f"{rate:.1f}" for rate in rates),
                f"{case['nll_ours']:.3f}",
                f"{case['difference']:+.3f} ± {case['standard_error']:.3f}",
            ]
        )
    print(table(rows))
    record("likelihood", {"compared": found})


if __name__ == "__main__":
    main()
