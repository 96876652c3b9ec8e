"""What is trained: each model with the params of params.yaml, less what plain loops do not have, and its digits."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from genbalance.data.prepared import Prepared, Split
from genbalance.params import Params

IMAGES = 2560  # that an epoch sees: whole batches of 64 and of 128


@dataclass(frozen=True)
class Case:
    """One model: the stage that trains it, its section of params.yaml, and what is fixed there for the measurement."""

    name: str
    section: str
    fixed: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The name of the program, without its ending."""
        return f"train_{self.section}"

    def params(self, params: Params, epochs: int) -> Params:
        """``params`` with what is fixed, trained for so many epochs."""
        section = getattr(params, self.section)
        changed = type(section).model_validate({**section.model_dump(), **self.fixed, "epochs": epochs})
        return params.model_copy(update={self.section: changed})


# the objective that the plain loop has too, whatever params.yaml asks for at the moment
ELBO: dict[str, Any] = {
    "likelihood": "bernoulli",
    "conditional": False,
    "prior": "normal",
    "importance_samples": 1,
    "kl_warmup": 0,
    "free_bits": 0.0,
    "updates": "joint",
}
GAME: dict[str, Any] = {
    "conditional": False,
    "loss": "non_saturating",
    "r1": 0.0,
    "spectral_norm": False,
    "d_steps": 1,
    "stop_when_balanced": False,
}
MLP = Case("VAE, mlp", "vae", {"arch": "mlp", "width": 512, "batch_size": 128, **ELBO})
CASES = (
    MLP,
    Case("VAE, conv", "vae", {"arch": "conv", **ELBO}),
    Case("GAN, dcgan", "gan", {"arch": "dcgan", **GAME}),
    Case("classifier", "classifier"),
)


def sized(dataset: Prepared, train: int, val: int, test: int) -> Prepared:
    """So many images in each split: its first ones, over and over where it has fewer."""

    def some(split: Split, count: int) -> Split:
        rows = np.arange(count) % len(split)
        return Split(split.images[rows], split.labels[rows])

    return replace(dataset, train=some(dataset.train, train), val=some(dataset.val, val), test=some(dataset.test, test))
