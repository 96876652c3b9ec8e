"""Eight VAEs that differ in β alone, trained in one process: stacked along a model axis, against one after another.

On the device of params.yaml; needs no data. Run as `python -m benchmarks.stacked`.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Adam

from benchmarks.pairs import Spread, in_turn, seconds
from benchmarks.results import record, table
from genbalance.losses.vae import Terms, distortion, kl_to_normal
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised, set_up

BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0)
PAIRS = 3
STEPS = 10  # of each member, between two readings of the clock
ARCHITECTURES = ("mlp", "conv")


class Loss(nn.Module):
    """L = L_recon + β·L_KL of a VAE for noise that is given: the same for all members, as for runs of one seed."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, images: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
        """Nats, the mean over the images [B, C, H, W], with the noise [B, L] of z."""
        posterior = self.vae.encode(images)
        assert isinstance(posterior, Normal)
        decoded = self.vae.decode(posterior.mean + posterior.stddev * noise)
        return Terms(distortion(images, decoded), kl_to_normal(posterior).sum(dim=-1)).loss(beta)


def one_after_another(model: Loss, betas: Tensor, learning_rate: float) -> tuple[list[Loss], Callable[..., None]]:
    """A copy of the model for each β, and a function that takes a step of each."""
    members = [deepcopy(model) for _ in betas]
    optimizers = [Adam(member.parameters(), learning_rate, fused=True) for member in members]

    def step(images: Tensor, noise: Tensor) -> None:
        for member, optimizer, beta in zip(members, optimizers, betas, strict=True):
            optimizer.zero_grad(set_to_none=True)
            member(images, noise, beta).backward()
            optimizer.step()

    return members, step


def stacked(model: Loss, betas: Tensor, learning_rate: float) -> tuple[dict[str, Tensor], Callable[..., None]]:
    """The weights of as many copies along a new first axis, and a function that takes a step of all of them."""
    weights, _ = stack_module_state([model for _ in betas])
    weights = {name: nn.Parameter(weight.detach()) for name, weight in weights.items()}
    optimizer = Adam(weights.values(), learning_rate, fused=True)

    def loss(weights: dict[str, Tensor], beta: Tensor, images: Tensor, noise: Tensor) -> Tensor:
        found: Tensor = functional_call(model, weights, (images, noise, beta))
        return found

    every = vmap(loss, (0, 0, None, None))

    def step(images: Tensor, noise: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        every(weights, betas, images, noise).sum().backward()
        optimizer.step()

    return weights, step


def compared(
    arch: str, seed: int, device: torch.device, config: dict[str, Any], pairs: int, steps: int
) -> dict[str, Any]:
    """How many times as long the members take one after another, and how far their weights are then apart."""
    build: dict[str, Any] = {"arch": arch, "likelihood": "bernoulli", "log_sigma_floor": -6.0}
    build |= {key: config[key] for key in ("shape", "latents", "width")}
    model = Loss(initialised(lambda: Vae(**build), seed, "bench/stacked", device))
    size, latents = config["batch_size"], config["latents"]
    draws = generator(seed, "bench/stacked/draws", device)
    betas = torch.tensor(BETAS, device=device)
    members, separately = one_after_another(model, betas, config["learning_rate"])
    weights, together = stacked(model, betas, config["learning_rate"])

    def batches() -> list[tuple[Tensor, Tensor]]:
        return [
            (
                (torch.rand(size, *config["shape"], generator=draws, device=device) < 0.13).float(),
                torch.randn(size, latents, generator=draws, device=device),
            )
            for _ in range(steps)
        ]

    given = batches()

    def run(step: Callable[..., None]) -> float:
        def steps_of_all() -> None:
            for batch in given:
                step(*batch)

        return seconds(steps_of_all)

    taken = in_turn(lambda: run(together), lambda: run(separately), pairs)
    apart = max(
        float((weights[name][place] - weight).detach().abs().max())
        for place, member in enumerate(members)
        for name, weight in member.named_parameters()
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
