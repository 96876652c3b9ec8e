"""Evaluates your own images: no DVC, no MLflow, files in and numbers out."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import image_files, prepared
from genbalance.data.images import doubts
from genbalance.data.pictures import grid, save_png
from genbalance.evaluation.reference_classifier import in_pixels, load_extractor
from genbalance.params import read_params
from genbalance.reporting.measures import ARROWS, GROUPS, Measure, Source
from genbalance.reporting.results import Results
from genbalance.reporting.text import aligned, number, share, span
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import rounded, write_json
from genbalance.runtime.rng import stream_seed

if TYPE_CHECKING:
    import pandas as pd

    from genbalance.evaluation.suite import EvaluationSuite

HEADER = ("", "", "value", "95% interval", "real digits", "mean image")
MODEL = "file"  # in the place of a family
STAGE = f"evaluate_{MODEL}"


CAUTION = "Features: this project's classifier, not Inception. Compare only at the same n and with the same classifier."

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a file: ``heading`` says on what, with the warnings; ``metrics`` are rounded as the stages
    round theirs, and contain the warnings as texts.

    ``copies``: the most copied-looking samples [k, S, S] first, then the nearest training, then the nearest test
    digits of each [3 · k, S, S].
    """

    heading: str
    metrics: dict[str, Any]
    classes: "pd.DataFrame"
    copies: Images

    def __str__(self) -> str:
        return f"{self.heading}\n\n{metrics_table(self.metrics, self.classes)}"

    def save(self, json: Path | None, copies: Path | None) -> None:
        """Writes the metrics as JSON and the copies as a PNG of three rows, where a path is given.

        Raises:
            UserError: a file cannot be written.
        """
        if json:
            _write(json, lambda: write_json(json, self.metrics))
        if copies:
            _write(copies, lambda: save_png(copies, grid(self.copies, len(self.copies) // 3)))


def evaluate(samples: Path | Images, data: Path, classifier: Path, params_file: Path) -> Evaluation:
    """Measures images against prepared digits. What makes the numbers doubtful is a warning, on stderr before anything
    is measured and in the result.

    Args:
        samples: what :func:`genbalance.data.image_files.read_images` takes, or images [n, S, S]; of more images than
            are measured, as many are drawn by the seed.
        data: the folder that `prepare` wrote.
        classifier: the reference classifier that was trained on these digits, as `train_classifier` wrote it.
        params_file: its ``seed``, ``compute`` and ``evaluate`` are used.

    Raises:
        UserError: anything wrong with these, before any time is spent.
    """
    params = read_params(params_file)
    digits = prepared.load(data)
    if isinstance(samples, np.ndarray):
        name, read, named = "images", image_files.Samples(samples), {}
    else:
        name, read = str(samples), image_files.read_images(samples)
        named = {"samples": samples.resolve().name}
    images = read.images
    if images.shape[1] != digits.height:
        raise UserError(
            f"{name}: found images of {in_pixels(images.shape[1])} pixels, but the digits of {data} have "
            f"{in_pixels(digits.height)}; make them equal"
        )

    from genbalance.evaluation.suite import EvaluationSuite
    from genbalance.runtime.device import set_up

    extractor = load_extractor(classifier, data, digits, set_up(params.compute, params.seed, "evaluate_file"))
    suite = EvaluationSuite.of(digits, extractor, params.evaluate, params.seed, most=len(images))
    warnings = [*read.warnings, *_reasons_for_doubt(images, digits, suite)]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    drawn = _draw(images, suite.n, params.seed)
    measured = suite.measure(extractor.read(drawn))
    copies = measured.copies
    some = f" of {len(images):,}, drawn by the seed {params.seed}," if len(drawn) < len(images) else ""
    return Evaluation(
        heading="\n".join(
            [
                f"{name}: {suite.n:,} images{some} against {suite.n:,} test digits of {digits.title}",
                CAUTION,
                *(f"warning: {warning}" for warning in warnings),
            ]
        ),
        metrics=named | {"warnings": warnings} | rounded(measured.metrics),
        classes=measured.classes,
        copies=np.concatenate(
            [drawn[copies.generated], digits.train.images[copies.train], digits.test.images[copies.test]]
        ),
    )


def _reasons_for_doubt(images: Images, digits: prepared.Prepared, suite: "EvaluationSuite") -> Iterator[str]:
    """What makes the numbers of readable images doubtful."""
    yield from doubts(images, digits.train.images)
    most = min(suite.config.samples, len(digits.train), len(digits.test))
    if suite.n < most:
        yield (
            f"only {suite.n:,} images are measured, not {most:,}: the Fréchet distance is larger for fewer images; "
            f"compare it with the value of {suite.n:,} real digits in the column beside it"
        )


def _draw(images: Images, n: int, seed: int) -> Images:
    """``n`` of the images in their order, all of them where there are no more."""
    rng = np.random.default_rng(stream_seed(seed, "evaluate/file"))
    return images if len(images) == n else images[np.sort(rng.choice(len(images), n, replace=False))]


def _write(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def metrics_table(metrics: Mapping[str, Any], classes: "pd.DataFrame") -> str:
    """A line for each metric (value, 95% interval, what real digits and the mean image get), then one for each class.

    An arrow says where the best lies: ↓ low, ↑ high, →real near what real digits get, →½ and →0 there.
    """
    columns = {str(name): list(column) for name, column in classes.items()}
    results = Results({STAGE: metrics}, {f"{STAGE}/classes": columns}, pictures={}, films={})
    rows: list[Sequence[str]] = [HEADER]
    for title, measures in GROUPS.items():
        if lines := [_row(results, measure) for measure in measures if measure.key in metrics]:
            rows += [(), (title,), *lines]
    by_class = ([number(value) for value in row] for row in zip(*columns.values(), strict=True))
    return f"{aligned(rows)}\n\n{aligned([list(columns), *by_class])}"


def _row(results: Results, measure: Measure) -> tuple[str, ...]:
    def text(source: Source | None) -> str:
        if source is None:
            return ""
        value = source(results, MODEL) if callable(source) else results.number(STAGE, source)
        return share(value) if measure.share else number(value)

    ends = results.interval(STAGE, measure.key)
    return (
        f"  {measure.label}",
        ARROWS[measure.better],
        text(measure.key),
        span(*ends) if ends else "",
        text(measure.real),
        text(measure.mean_image),
    )
