"""What the commands that draw images share: a model, the reference classifier and the digits that both were trained
on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.data import prepared
from genbalance.evaluation.reference_classifier import load_extractor
from genbalance.families import registry
from genbalance.params import Params, read_params
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

    from genbalance.evaluation.features import FeatureExtractor
    from genbalance.sampling.sampler import Sampler
    from genbalance.sampling.selection import Selection


LISTED = 20  # names of classes in a message, at most


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
    def dataset(self) -> prepared.Prepared:
        """The prepared images."""
        return prepared.load(self.data)

    @property
    def root(self) -> int:
        """The seed of all random streams."""
        return self.config.seed if self.seed is None else self.seed

    @property
    def file(self) -> Path:
        """The model's weights."""
        return self.weights or Path("models") / f"{self.model}.safetensors"

    def label(self, option: str, named: str | None) -> int | None:
        """The class that an option names, by its name or its number; None where the images have no classes and none is
        named. Checks params, data and files too, without torch.

        Raises:
            UserError: something is not as it should be.
        """
        _ = self.config
        label = self._label(option, named)
        if option == "--digits" and self.dataset.class_names and named not in self.dataset.class_names:
            raise UserError(
                f"--digits: found {named}, but the classes of {self.data} are called {self._listed}; allowed: digits "
                "that are called so, or --digit with a class's name"
            )
        check_there(self.classifier, self.file)
        return label

    def _label(self, option: str, named: str | None) -> int | None:
        dataset = self.dataset
        if not dataset.has_classes:
            if named is None:
                return None
            raise UserError(f"{option}: found {named}, but the images of {self.data} have no classes; leave it out")
        if named in dataset.class_names:
            return dataset.class_names.index(named)
        if named is not None and named.isdecimal() and int(named) < dataset.classes:
            return int(named)
        allowed = f"0 … {dataset.classes - 1}"
        if dataset.class_names:
            allowed = f"{self._listed}, or {allowed}"
        found = "none" if named is None else named
        raise UserError(f"{option}: found {found}, but {self.data} has {dataset.classes} classes; allowed: {allowed}")

    @property
    def _listed(self) -> str:
        """The names of the classes."""
        listed = self.dataset.class_names[:LISTED]
        return f"{', '.join(listed)}{', …' if len(listed) < self.dataset.classes else ''}"

    def named(self, label: int) -> int | str:
        """A class as JSON has it: its number, or the name that it has instead."""
        return self.dataset.class_names[label] if self.dataset.class_names else label

    def selection(self, digit: int | None) -> "Selection":
        """Chooses among candidates for a class, or of all images for None, which have a random stream of their own."""
        from genbalance.runtime.device import generator
        from genbalance.sampling.rejection import RejectionSampler
        from genbalance.sampling.selection import BLOCK, Scorer, Selection

        noise = generator(self.root, f"generate/{self.model}/{digit}", self.device)
        name = "" if digit is None else self.dataset.class_name(digit)
        scorer = Scorer.of(self.extractor, self.dataset.train, digit, name)
        rejection = RejectionSampler(self.sampler, self.extractor, digit, noise, BLOCK, self.tries)
        return Selection(rejection, scorer, self.model, name)

    @cached_property
    def sampler(self) -> "Sampler":
        """The model, as what draws images."""
        sampler: Sampler = self.family.make_sampler(self.network)
        return sampler

    @property
    def family(self) -> registry.Family:
        """The model's."""
        return registry.family(self.model)

    @cached_property
    def network(self) -> "torch.nn.Module":
        """The model.

        Raises:
            UserError: the file is no such model, or one of other digits.
        """
        from genbalance.models import weights

        family = self.family

        def build(**config: Any) -> "torch.nn.Module":
            network: torch.nn.Module = family.build(**config)
            shape, classes = config["shape"], config.get("classes", 0)
            if shape != self.dataset.shape or classes not in (0, self.dataset.classes):
                raise UserError(
                    f"{self.file}: draws {prepared.in_words(shape)}{f' of {classes} classes' if classes else ''}, but "
                    f"{self.data} has {self.dataset.classes} of {prepared.in_words(self.dataset.shape)}; allowed: a "
                    "model of these images"
                )
            return network

        return weights.load(self.file, build, self.device)

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
    def device(self) -> "torch.device":
        """Where it computes, set up."""
        from genbalance.runtime.device import set_up

        return set_up(self.config.compute, self.root, "generate")

    @cached_property
    def extractor(self) -> "FeatureExtractor":
        """The reference classifier.

        Raises:
            UserError: the file is none, or one of other digits.
        """
        return load_extractor(self.classifier, self.data, self.dataset, self.device)


def check_there(*paths: Path) -> None:
    """Raises a `UserError` for the first of the files that is not there."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: is not there; run `dvc repro`")
