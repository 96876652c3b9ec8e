"""Answers requests for digits: a model, and the reference classifier that reads what it draws. Requests and answers are
tables."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from genbalance.data.pixels import standardized
from genbalance.evaluation.features import FeatureExtractor
from genbalance.families import registry
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.runtime.device import generator
from genbalance.runtime.errors import UserError
from genbalance.sampling.rejection import CONFIDENCE, RejectionSampler
from genbalance.sampling.sampler import Images, Sampler, draws

if TYPE_CHECKING:
    import pandas as pd

CPU = torch.device("cpu")  # the networks are small, and the same request has the same answer everywhere
MOST = 1000  # images that a row can ask for
SEED, LARGEST_SEED = 0, 2**32 - 1  # the default is fixed, so that the same request has the same answer
BLOCK = 64  # candidates at a time: of a fixed size, so that a longer answer begins with the shorter one
TRIES = 500  # candidates for each digit wanted, at most


@dataclass(frozen=True)
class Request:
    """``count`` digits of the class ``digit``, or of any for None, out of the random stream that ``seed`` names."""

    digit: int | None
    seed: int
    count: int


def parse_requests(table: "pd.DataFrame", classes: int, names: Sequence[str] = ()) -> list[Request]:
    """The rows of a table with any of the columns ``digit`` (a class by its number or one of ``names``; none, null or
    −1: any, as always where there are no ``classes``), ``count`` (none or null: 1) and ``seed`` (none or null: 0).

    Raises:
        UserError: a value is not one of those.
    """
    requests = []
    for row in table.to_dict("records"):
        named = row.get("digit")
        if isinstance(named, str) and named in names:
            digit = names.index(named)
        elif not classes and named not in (None, -1) and named == named:  # NaN is a null
            raise UserError(f"digit: found {named!r}, but the images have no classes; leave it out")
        else:
            digit = _whole("digit", named, -1, classes - 1, otherwise=-1, also=names)
        count = _whole("count", row.get("count"), 1, MOST, otherwise=1)
        seed = _whole("seed", row.get("seed"), 0, LARGEST_SEED, otherwise=SEED)
        requests.append(Request(None if digit < 0 else digit, seed, count))
    return requests


def _whole(column: str, value: Any, least: int, most: int, otherwise: int, also: Sequence[str] = ()) -> int:
    if value is None or value != value:  # a null beside numbers is NaN
        return otherwise
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or value != int(value):
        named = f", or a name such as {also[0]!r}" if also else ""
        raise UserError(f"{column}: found {value!r}; allowed: whole numbers from {least} to {most}{named}")
    return int(value)


@dataclass(frozen=True)
class Drawn:
    """Images uint8 [n, H, W(, 3)], the class that the classifier reads in each [n] and its probability [n]."""

    images: NDArray[np.uint8]
    read: NDArray[np.int64]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class Server:
    """A model, the reference classifier, how many classes that one knows (0: none), and what they are called."""

    sampler: Sampler
    extractor: FeatureExtractor
    classes: int
    names: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        model: str,
        weights_file: Path,
        classifier_file: Path,
        mean: float,
        std: float,
        class_names: Sequence[str] = (),
    ) -> "Server":
        """Out of the files of a model of the family ``model``, and of the classifier, which was trained on pixels of
        this mean and standard deviation and on classes of these names.

        Raises:
            UserError: a file is not what it should be.
        """
        family = registry.family(model)
        classifier = weights.load(classifier_file, Classifier, CPU)
        extractor = FeatureExtractor(classifier, standardized(mean, std), CPU)
        sampler = family.make_sampler(weights.load(weights_file, family.build, CPU))
        return cls(sampler, extractor, classifier.classes, tuple(class_names))

    def answer(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """The answer to a table of requests: see :func:`parse_requests` and :func:`answer`.

        Raises:
            UserError: a request is not allowed or cannot be answered.
        """
        requests = parse_requests(table, self.classes, self.names)
        rows = answer([self.draw(request) for request in requests])
        if not self.classes:
            return rows.drop(columns=["read", "confidence"])
        return rows.assign(read=[self.names[label] for label in rows["read"]]) if self.names else rows

    def draw(self, request: Request) -> Drawn:
        """As many digits as are asked for. Those of any class are the first ones; of a class, the first that the
        classifier reads as it.

        Raises:
            UserError: too few were read so.
        """
        digit, count = request.digit, request.count
        tries = -(-(count if digit is None else TRIES * count) // BLOCK) * BLOCK  # whole blocks
        noise = _noise(request.seed, digit, CPU)
        rejection = RejectionSampler(self.sampler, self.extractor, digit, noise, BLOCK, tries)
        images, probabilities = list[Images](), list[NDArray[np.float32]]()
        for accepted in rejection.accepted(None if digit is None else CONFIDENCE):
            images.append(accepted.images)
            probabilities.append(accepted.reading.probabilities)
            if rejection.counts.confident >= count:
                return _first(images, probabilities, count)
        named = self.names[digit] if self.names and digit is not None else digit
        counts = rejection.counts
        raise UserError(
            f"digit: found {named}, but the classifier read only {counts.confident} of {counts.tried:,} candidates as "
            f"it with a probability of {CONFIDENCE} or more, and {count} are needed; ask for fewer, or "
            "for another digit"
        )


def answer(drawn: Iterable[Drawn]) -> "pd.DataFrame":
    """A row for each image: the number of the ``row`` that it answers, from 0; the class that is ``read`` in it, with
    which ``confidence``; and the image as ``png``, in Base64."""
    import pandas as pd

    rows = [
        {"row": row, "read": int(read), "confidence": float(confidence), "png": _png(image)}
        for row, dataset in enumerate(drawn)
        for image, read, confidence in zip(dataset.images, dataset.read, dataset.confidence, strict=True)
    ]
    return pd.DataFrame(rows, columns=["row", "read", "confidence", "png"])


def candidates(sampler: Sampler, seed: int, digit: int | None, device: torch.device) -> Iterator[Images]:
    """Images of a model on ``device``, `BLOCK` at a time and without an end; of a ``digit``, if the model is
    conditional. They are the candidates of a server."""
    for z, condition in draws(sampler, BLOCK, _noise(seed, digit, device), digit):
        yield sampler.images(z, condition)


def _noise(seed: int, digit: int | None, device: torch.device) -> torch.Generator:
    return generator(seed, f"serve/{digit}", device)


def _first(images: Sequence[Images], probabilities: Sequence[NDArray[np.float32]], count: int) -> Drawn:
    read = np.concatenate(probabilities)[:count]
    return Drawn(np.concatenate(images)[:count], read.argmax(axis=1), read.max(axis=1))


def _png(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
