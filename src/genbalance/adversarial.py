"""The two sides of the GAN's game: what the discriminator and the generator minimise on a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbalance.models.gan import Discriminator, Generator
from genbalance.objectives import gan as objective
from genbalance.params import Gan
from genbalance.training import Scalars

LOOKS = 8  # D steps from one look at held-out images to the next, at most


@dataclass(frozen=True)
class Digits:
    """Images [n, 1, S, S] in [−1, 1], and their conditions [n] where the networks are told them."""

    images: Tensor
    conditions: Tensor | None

    def rows(self, which: Tensor) -> tuple[Tensor, Tensor | None]:
        """Some of them."""
        return self.images[which], None if self.conditions is None else self.conditions[which]


class Game:
    """D tells real from generated images, G makes D take its images for real. Generated images have the conditions of
    the real ones that they stand beside.

    Args:
        generator: G.
        discriminator: D.
        train: what D is shown as real.
        held_out: real digits that D is never trained on.
        knobs: loss and penalties.
        noise: the stream of latents.
        penalty: the stream that says where the gradient penalty is taken.
        chance: the stream that picks held-out images.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        train: Digits,
        held_out: Digits,
        knobs: Gan,
        noise: torch.Generator,
        penalty: torch.Generator,
        chance: torch.Generator,
    ) -> None:
        self.g, self.d = generator, discriminator
        self._train, self._held_out, self._knobs = train, held_out, knobs
        self._noise, self._penalty, self._chance = noise, penalty, chance
        self._d_steps = 0
        # often enough that each epoch has one
        self._looks = min(LOOKS, max(1, len(train.images) // knobs.batch_size))

    def loss_d(self, batch: Tensor) -> Scalars:
        """What D minimises, ``objective_d``: L_D and the penalties. Beside it the terms, and what D gets right."""
        real, told = self._train.rows(batch)
        with torch.no_grad():
            generated = self._fake(told, len(batch))
        knobs, step = self._knobs, self._d_steps
        self._d_steps += 1
        penalised = knobs.r1 > 0 and knobs.loss != "wasserstein" and step % knobs.r1_every == 0
        if penalised:
            real = real.requires_grad_()
        on_real, on_generated = self.d(real, told), self.d(generated, told)
        loss = objective.LOSSES[knobs.loss].d(on_real, on_generated)
        scalars = {
            "loss_d": loss,
            "d_accuracy_real": (on_real > 0).float().mean(),
            "d_accuracy_generated": (on_generated < 0).float().mean(),
        }
        total = loss
        if penalised:
            scalars["r1"] = objective.r1_penalty(on_real, real)
            total = total + knobs.r1 * knobs.r1_every * scalars["r1"]
        if knobs.loss == "wasserstein":  # whose penalty wants slopes of 1, where R1 wants none
            uniform = torch.rand(len(batch), generator=self._penalty, device=real.device)
            scalars["gradient_penalty"] = objective.gradient_penalty(
                lambda between: self.d(between, told), real.detach(), generated, uniform
            )
            total = total + knobs.gradient_penalty * scalars["gradient_penalty"]
        if step % self._looks == 0:
            scalars |= self._held_out_scalars(on_generated)
        return scalars | {"objective_d": total}

    def loss_g(self, batch: Tensor) -> Scalars:
        """L_G."""
        _, told = self._train.rows(batch)
        logits = self.d(self._fake(told, len(batch)), told)
        return {"loss_g": objective.LOSSES[self._knobs.loss].g(logits)}

    def state_dict(self) -> dict[str, Any]:
        """How many steps D has made, which says when penalties and looks are due."""
        return {"d_steps": self._d_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self._d_steps = state_dict["d_steps"]

    def _fake(self, told: Tensor | None, count: int) -> Tensor:
        images: Tensor = self.g(self.g.draw(count, self._noise), told)
        return images

    def _held_out_scalars(self, on_generated: Tensor) -> Scalars:
        """What D makes of real digits that it does not know: the share that it gets right, and the share of pairs with
        a generated one that it ranks right, ½ where it cannot tell them apart."""
        rows = torch.randint(
            len(self._held_out.images), on_generated.shape, generator=self._chance, device=on_generated.device
        )
        with torch.no_grad():
            logits = self.d(*self._held_out.rows(rows))
        return {
            "d_accuracy_held_out": (logits > 0).float().mean(),
            "d_ranking_held_out": (logits > on_generated).float().mean(),
        }
