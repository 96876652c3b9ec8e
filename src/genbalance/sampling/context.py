"""What the commands that draw images share: a model, the reference classifier and the digits that both were trained
on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data import prepared
from genbalance.evaluation.reference_classifier import in_pixels, load_extractor
from genbalance.families import registry
from genbalance.params import Params, read_params
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.sampling.sampler import Sampler
    from genbalance.sampling.selection import Selection


@dataclass(frozen=True)
class Context:
    """What the options of a command name.

    Args:
        model: the name of a family.
        weights: the model's file; None: where the pipeline writes it.
        data: the folder that `prepare` wrote.
        classifier: the file of the reference classifier that was trained on these digits.
        params: the file with seed and compute.
        seed: overrides that of ``params``.
        tries: candidates of one digit, at most.
    """

    model: str
    weights: Path | None
    data: Path
    classifier: Path
    params: Path
    seed: int | None
    tries: int

    @cached_property
    def config(self) -> Params:
        """The params."""
        return read_params(self.params)

    @cached_property
    def digits(self) -> prepared.Prepared:
        """The prepared digits."""
        return prepared.load(self.data)

    @property
    def root(self) -> int:
        """The seed of all random streams."""
        return self.config.seed if self.seed is None else self.seed

    @property
    def file(self) -> Path:
        """The model's weights."""
        return self.weights or Path("models") / f"{self.model}.safetensors"

    def check(self, option: str, *digits: int) -> None:
        """Checks without torch: params, data, files, and whether the data have the ``digits`` that an option names.

        Raises:
            UserError: something is not as it should be.
        """
        _ = self.config
        classes = self.digits.classes
        for digit in digits:
            if not 0 <= digit < classes:
                raise UserError(
                    f"{option}: found {digit}, but {self.data} has {classes} classes; allowed: 0 … {classes - 1}"
                )
        for path in (self.classifier, self.file):
            if not path.exists():
                raise UserError(f"{path}: is not there; run `dvc repro`")

    def selection(self, digit: int) -> "Selection":
        """Chooses among candidates for a digit, which have a random stream of their own."""
        from genbalance.runtime.device import generator
        from genbalance.sampling.rejection import RejectionSampler
        from genbalance.sampling.selection import BLOCK, Scorer, Selection

        noise = generator(self.root, f"generate/{self.model}/{digit}", self._device)
        scorer = Scorer.of(self._extractor, self.digits.train, digit)
        rejection = RejectionSampler(self.sampler, self._extractor, digit, noise, BLOCK, self.tries)
        return Selection(rejection, scorer, self.model)

    @cached_property
    def sampler(self) -> "Sampler":
        """The model.

        Raises:
            UserError: the file is no such model, or one of other digits.
        """
        from genbalance.models import weights

        family = registry.family(self.model)

        def build(**config: Any) -> "torch.nn.Module":
            network: torch.nn.Module = family.build(**config)
            size, classes = config["size"], config.get("classes", 0)
            if size != self.digits.height or classes not in (0, self.digits.classes):
                raise UserError(
                    f"{self.file}: draws {in_pixels(size)} pixels{f' of {classes} classes' if classes else ''}, but "
                    f"{self.data} has {self.digits.classes} of {in_pixels(self.digits.height)}; allowed: a model of "
                    "these digits"
                )
            return network

        sampler: Sampler = family.make_sampler(weights.load(self.file, build, self._device))
        return sampler

    @property
    def provenance(self) -> dict[str, Any]:
        """What images are made of, each file by its MD5, as in dvc.lock; no paths of this machine."""

        def entry(path: Path) -> dict[str, str]:
            return {"file": path.name, "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}

        return {
            "seed": self.root,
            "model": {"kind": self.model} | entry(self.file),
            "judge": entry(self.classifier),
            "digits": entry(self.data / prepared.TENSORS),
        }

    @cached_property
    def _device(self) -> "torch.device":
        from genbalance.runtime.device import set_up

        return set_up(self.config.compute, self.root, "generate")

    @cached_property
    def _extractor(self) -> "FeatureExtractor":
        return load_extractor(self.classifier, self.data, self.digits, self._device)
