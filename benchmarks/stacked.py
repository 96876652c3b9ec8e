"""Eight VAEs that differ in β alone: their steps stacked, as `genbalance sweep run --stacked` takes them, and one after
another.

On the device of params.yaml; needs no data. Run as `python -m benchmarks.stacked`.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from benchmarks.pairs import Spread, in_turn, seconds
from benchmarks.results import record, table
from genbalance.losses.vae import vae_output_at
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised, set_up
from genbalance.training.loop import Phase
from genbalance.training.stacked import StackedPhase, together

BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0)
PAIRS = 3
STEPS = 10  # of each member, between two readings of the clock
ARCHITECTURES = ("mlp", "conv")


def phases(model: Vae, beta: float, images: Tensor, noise: Tensor, learning_rate: float) -> tuple[Phase, StackedPhase]:
    """A training on these images and this noise of z, alone and as one of a stack; each has a copy of the model."""
    alone, stacked = deepcopy(model), deepcopy(model)

    def draw(batch: Tensor) -> tuple[float, Tensor, Tensor]:
        return beta, images[batch], noise[batch]

    def loss(vae: Vae, beta: float | Tensor, seen: Tensor, normal: Tensor) -> Mapping[str, Tensor]:
        return {"loss": vae_output_at(vae, seen, normal).terms.loss(beta)}

    def optimizer(vae: Vae) -> Adam:
        return Adam(vae.parameters(), learning_rate, fused=True)

    return (
        Phase("vae", alone, optimizer(alone), "loss", lambda batch: loss(alone, *draw(batch))),
        StackedPhase("vae", stacked, optimizer(stacked), "loss", loss=lambda *given: loss(stacked, *given), draw=draw),
    )


def compared(
    arch: str, seed: int, device: torch.device, config: Mapping[str, Any], pairs: int, steps: int
) -> dict[str, Any]:
    """How many times as long the members take one after another, and how far their weights are then apart."""
    build: dict[str, Any] = {"arch": arch, "likelihood": "bernoulli", "log_sigma_floor": -6.0}
    build |= {key: config[key] for key in ("shape", "latents", "width")}
    model = initialised(lambda: Vae(**build), seed, "bench/stacked", device)
    draws, count = generator(seed, "bench/stacked/draws", device), steps * config["batch_size"]
    images = (torch.rand(count, *config["shape"], generator=draws, device=device) < 0.13).float()
    noise = torch.randn(count, config["latents"], generator=draws, device=device)
    members = [phases(model, beta, images, noise, config["learning_rate"]) for beta in BETAS]
    alone, stacked = zip(*members, strict=True)
    batches = torch.arange(count, device=device).split(config["batch_size"])

    def separately() -> None:
        for batch in batches:
            for phase in alone:
                phase.step(batch)

    def in_one() -> None:
        for batch in batches:
            steps = together(stacked, [phase.draw(batch) for phase in stacked])
            for phase, step in zip(stacked, steps, strict=True):
                phase.update(step)

    taken = in_turn(lambda: seconds(in_one), lambda: seconds(separately), pairs)
    apart = max(
        float((one - other).detach().abs().max())
        for phase, of_stack in members
        for one, other in zip(phase.parameters, of_stack.parameters, strict=True)
    )
    return {"arch": arch, "members": len(BETAS), "speedup": asdict(taken.speedup), "largest_difference": apart}


def main() -> None:
    """Measures both architectures; prints, records."""
    params = read_params()
    device = set_up(params.compute, params.seed, "bench")
    config = params.vae.model_dump() | {"shape": [1, 28, 28]}
    found = [compared(arch, params.seed, device, config, PAIRS, STEPS) for arch in ARCHITECTURES]
    rows = [["VAE", "members", "stacked, times as fast", "weights apart by at most"]]
    for each in found:
        speedup = Spread(**each["speedup"])
        rows.append([each["arch"], str(each["members"]), f"{speedup:.2f}", f"{each['largest_difference']:.0e}"])
    print(f"{STEPS} steps of batches of {config['batch_size']}, {PAIRS} pairs, {device}")
    print(table(rows))
    record("stacked", {"compared": found})


if __name__ == "__main__":
    main()
