"""Where digits are drawn: a model, its judge and the digits that both were trained on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genbalance.commands.judge import in_pixels, load_judge
from genbalance.data import prepared
from genbalance.errors import UserError
from genbalance.params import Params, read_params

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.judge import Judge
    from genbalance.generation.sampler import Sampler
    from genbalance.generation.supply import Supply

M = TypeVar("M")


@dataclass(frozen=True)
class Studio:
    """What the options of a command name.

    Args:
        kind: gan or vae.
        weights: the model's; None: where the pipeline writes it.
        data: the folder that `prepare` wrote.
        judge: the classifier that was trained on these digits.
        params: where seed and compute are read.
        seed: in place of that of ``params``.
        tries: candidates of one digit, at most.
    """

    kind: str
    weights: Path | None
    data: Path
    judge: Path
    params: Path
    seed: int | None
    tries: int

    @cached_property
    def knobs(self) -> Params:
        """The params."""
        return read_params(self.params)

    @cached_property
    def digits(self) -> prepared.Prepared:
        """The prepared digits."""
        return prepared.load(self.data)

    @property
    def root(self) -> int:
        """The seed of all streams."""
        return self.knobs.seed if self.seed is None else self.seed

    @property
    def file(self) -> Path:
        """The model's weights."""
        return self.weights or Path("models") / f"{self.kind}.safetensors"

    def check(self, option: str, *digits: int) -> None:
        """All that is known without torch: params, data, and whether these hold the ``digits`` that an option asks for.

        Raises:
            UserError: something is not as it should be.
        """
        _ = self.knobs
        classes = self.digits.classes
        for digit in digits:
            if not 0 <= digit < classes:
                raise UserError(
                    f"{option}: found {digit}, but {self.data} has {classes} classes; allowed: 0 … {classes - 1}"
                )
        for path in (self.judge, self.file):
            if not path.exists():
                raise UserError(f"{path}: is not there; run `dvc repro`")

    def supply(self, digit: int) -> "Supply":
        """Candidates for a digit, from a stream of their own."""
        from genbalance.compute import generator
        from genbalance.generation.candidates import Critic
        from genbalance.generation.supply import Supply

        noise = generator(self.root, f"generate/{self.kind}/{digit}", self._device)
        critic = Critic.of(self._judge, self.digits.train, digit)
        return Supply(self.sampler, self.kind, critic, noise, self.tries)

    @cached_property
    def sampler(self) -> "Sampler":
        """The model.

        Raises:
            UserError: it is none, or one of other digits.
        """
        from genbalance import weights
        from genbalance.generation.gan_sampler import GanSampler
        from genbalance.generation.vae_sampler import VaeSampler
        from genbalance.models.gan import Gan
        from genbalance.models.vae import Vae

        def checked(network: M, size: int, classes: int = 0, **_: Any) -> M:
            if size != self.digits.height or classes not in (0, self.digits.classes):
                raise UserError(
                    f"{self.file}: draws {in_pixels(size)} pixels{f' of {classes} classes' if classes else ''}, but "
                    f"{self.data} has {self.digits.classes} of {in_pixels(self.digits.height)}; allowed: a model of "
                    "these digits"
                )
            return network

        if self.kind == "gan":
            return GanSampler(weights.load(self.file, lambda **it: checked(Gan(**it), **it), self._device))
        return VaeSampler(weights.load(self.file, lambda **it: checked(Vae(**it), **it), self._device))

    @property
    def provenance(self) -> dict[str, Any]:
        """What digits are made of, each file by its md5, as dvc.lock tells it; no paths of this machine."""

        def told(path: Path) -> dict[str, str]:
            return {"file": path.name, "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}

        return {
            "seed": self.root,
            "model": {"kind": self.kind} | told(self.file),
            "judge": told(self.judge),
            "digits": told(self.data / prepared.TENSORS),
        }

    @cached_property
    def _device(self) -> "torch.device":
        from genbalance.compute import set_up

        return set_up(self.knobs.compute, self.root, "generate")

    @cached_property
    def _judge(self) -> "Judge":
        return load_judge(self.judge, self.data, self.digits, self._device)
