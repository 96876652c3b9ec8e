"""What is asked for, a row each, and the answer, an image each: what stands between a table and a model.

No torch here: whoever registers a model needs the columns' names alone.
"""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genbalance.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST = 1000  # images that a row can ask for
SEED, LARGEST_SEED = 0, 2**32 - 1  # the default is fixed, so that the same request has the same answer


@dataclass(frozen=True)
class Wish:
    """``count`` digits of the class ``digit``, or of any for None, out of the stream that ``seed`` names."""

    digit: int | None
    seed: int
    count: int


@dataclass(frozen=True)
class Drawn:
    """Images uint8 [n, S, S], the class that the judge reads in each [n] and the probability that it gives it [n]."""

    images: NDArray[np.uint8]
    read: NDArray[np.int64]
    confidence: NDArray[np.float32]


def wishes(table: "pd.DataFrame", classes: int) -> list[Wish]:
    """The rows of a table with any of the columns ``digit`` (none, null or −1: any), ``count`` (none or null: 1) and
    ``seed`` (none or null: 0).

    Raises:
        UserError: a value is not one of those.
    """
    found = []
    for row in table.to_dict("records"):
        digit = _whole("digit", row.get("digit"), -1, classes - 1, otherwise=-1)
        count = _whole("count", row.get("count"), 1, MOST, otherwise=1)
        seed = _whole("seed", row.get("seed"), 0, LARGEST_SEED, otherwise=SEED)
        found.append(Wish(None if digit < 0 else digit, seed, count))
    return found


def answer(drawn: Iterable[Drawn]) -> "pd.DataFrame":
    """A row for each image: the number of the ``row`` that it answers, from 0; the class that is ``read`` in it, with
    which ``confidence``; and the image as ``png``, in Base64."""
    import pandas as pd

    rows = [
        {"row": row, "read": int(read), "confidence": float(confidence), "png": _png(image)}
        for row, digits in enumerate(drawn)
        for image, read, confidence in zip(digits.images, digits.read, digits.confidence, strict=True)
    ]
    return pd.DataFrame(rows, columns=["row", "read", "confidence", "png"])


def _whole(column: str, value: Any, least: int, most: int, otherwise: int) -> int:
    if value is None or value != value:  # a null beside numbers is NaN
        return otherwise
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or value != int(value):
        raise UserError(f"{column}: found {value!r}; allowed: whole numbers from {least} to {most}")
    return int(value)


def _png(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
