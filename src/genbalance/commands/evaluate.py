"""Evaluates your own images: no DVC, no MLflow, files in and numbers out."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genbalance.commands.evaluate_table import as_text
from genbalance.commands.judge import in_pixels, load_judge
from genbalance.data import prepared, sample_files
from genbalance.data.levels import doubts
from genbalance.errors import UserError
from genbalance.files import write_json
from genbalance.params import read_params
from genbalance.pictures import grid, save_png
from genbalance.rng import stream_seed
from genbalance.summary import rounded

if TYPE_CHECKING:
    import pandas as pd

    from genbalance.evaluation.samples import Bench

CAUTION = "Features: this project's classifier, not Inception. Compare only at the same n and with the same classifier."

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a file: ``heading`` says on what, with the warnings; ``metrics`` are rounded as the stages
    round theirs, and hold the warnings as texts.

    ``copies``: the most copied-looking samples [k, S, S] first, then the nearest training, then the nearest test
    digits of each [3 · k, S, S].
    """

    heading: str
    metrics: dict[str, Any]
    classes: "pd.DataFrame"
    copies: Images

    def __str__(self) -> str:
        return f"{self.heading}\n\n{as_text(self.metrics, self.classes)}"

    def save(self, json: Path | None, copies: Path | None) -> None:
        """Writes the metrics as JSON and the copies as a PNG of three rows, where a path is given.

        Raises:
            UserError: a file cannot be written.
        """
        if json:
            _written(json, lambda: write_json(json, self.metrics))
        if copies:
            _written(copies, lambda: save_png(copies, grid(self.copies, len(self.copies) // 3)))


def evaluate(samples: Path | Images, data: Path, judge: Path, params_file: Path) -> Evaluation:
    """Measures images against prepared digits. What makes the numbers doubtful is a warning, on stderr before anything
    is measured and in the result.

    Args:
        samples: what `sample_files.read` takes, or images [n, S, S]; of more images than are measured, as many
            are drawn by the seed.
        data: the folder that `prepare` wrote.
        judge: the classifier that was trained on these digits, as `train_classifier` wrote it.
        params_file: its ``seed``, ``compute`` and ``evaluate`` are used.

    Raises:
        UserError: anything wrong with these, before any time is spent.
    """
    params = read_params(params_file)
    digits = prepared.load(data)
    if isinstance(samples, np.ndarray):
        name, read, named = "images", sample_files.Samples(samples), {}
    else:
        name, read = str(samples), sample_files.read(samples)
        named = {"samples": samples.resolve().name}
    images = read.images
    if images.shape[1] != digits.height:
        raise UserError(
            f"{name}: found images of {in_pixels(images.shape[1])} pixels, but the digits of {data} have "
            f"{in_pixels(digits.height)}; make them equal"
        )

    from genbalance.compute import set_up
    from genbalance.evaluation.samples import Bench

    reader = load_judge(judge, data, digits, set_up(params.compute, params.seed, "evaluate_file"))
    bench = Bench.of(digits, reader, params.evaluate, params.seed, most=len(images))
    warnings = [*read.warnings, *_doubts(images, digits, bench)]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    drawn = _draw(images, bench.n, params.seed)
    measured = bench.measure(reader.read(drawn))
    looking = measured.copies
    some = f" of {len(images):,}, drawn by the seed {params.seed}," if len(drawn) < len(images) else ""
    return Evaluation(
        heading="\n".join(
            [
                f"{name}: {bench.n:,} images{some} against {bench.n:,} test digits of {digits.title}",
                CAUTION,
                *(f"warning: {warning}" for warning in warnings),
            ]
        ),
        metrics=named | {"warnings": warnings} | rounded(measured.metrics),
        classes=measured.classes,
        copies=np.concatenate(
            [drawn[looking.generated], digits.train.images[looking.train], digits.test.images[looking.test]]
        ),
    )


def _doubts(images: Images, digits: prepared.Prepared, bench: "Bench") -> Iterator[str]:
    """What makes the numbers of readable images doubtful."""
    yield from doubts(images, digits.train.images)
    most = min(bench.knobs.samples, len(digits.train), len(digits.test))
    if bench.n < most:
        yield (
            f"only {bench.n:,} images are measured, not {most:,}: the Fréchet distance is larger for fewer images; "
            f"compare it with the value of {bench.n:,} real digits in the column beside it"
        )


def _draw(images: Images, n: int, seed: int) -> Images:
    """``n`` of the images in their order, all of them where there are no more."""
    rng = np.random.default_rng(stream_seed(seed, "evaluate/file"))
    return images if len(images) == n else images[np.sort(rng.choice(len(images), n, replace=False))]


def _written(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
