"""Evaluates your own images: no DVC, no MLflow, files in and numbers out."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data import image_files, prepared
from genbalance.data.arrays import take
from genbalance.data.images import Channels, conform, doubts
from genbalance.data.pictures import grid, save_png
from genbalance.data.pixels import measure as measure_pixels
from genbalance.data.prepared import in_words, shape_of
from genbalance.evaluation.reference_classifier import load_extractor
from genbalance.params import ComputeConfig, EvaluateConfig, read_params, read_yaml
from genbalance.reporting.classes import extremes
from genbalance.reporting.measures import ARROWS, GROUPS, Measure, Source
from genbalance.reporting.results import Results
from genbalance.reporting.text import aligned, number, share, span
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import rounded, write_json
from genbalance.runtime.rng import stream_seed

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from genbalance.evaluation.features import Extractor
    from genbalance.evaluation.suite import EvaluationSuite

HEADER = ("", "", "value", "95% interval", "real images", "mean image")
MODEL = "file"  # in the place of a family
STAGE = f"evaluate_{MODEL}"

NO_CLASSES = "The images have no classes: the classifier learned rotations, and what needs classes is not measured."
CAUTION = "Features: this project's classifier, not Inception. Compare only at the same n and with the same classifier."
OF_A_FILE = "Features: {}, md5 {}, of {}. Compare only at the same n and with the same file."
WITHOUT_INTERVAL = "The Fréchet distance has no interval: resampling it would take too long with {:,} features."
TEST, VAL = 0.4, 0.1  # of a reference; the rest are its training images, of which as many as test images are needed
FEWEST = 25  # of a reference, of which 10 are test images
RELEASED = Path(__file__).parents[1] / "reporting/defaults.yaml"

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a file: ``heading`` says on what, with the warnings; ``metrics`` are rounded as the stages
    round theirs, and contain the warnings as texts.

    ``copies``: the most copied-looking samples [k, H, W(, 3)] first, then the nearest training, then the nearest test
    digits of each [3 · k, H, W(, 3)].
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


def evaluate(
    samples: Path | Images,
    data: Path,
    classifier: Path,
    params_file: Path | None,
    *,
    reference: Path | Images | None = None,
    features: Path | None = None,
    features_size: int | None = None,
    resize: bool = False,
) -> Evaluation:
    """Measures images against real ones. What makes the numbers doubtful is a warning, on stderr before anything is
    measured and in the result.

    Args:
        samples: what :func:`genbalance.data.image_files.read_images` takes, or images [n, H, W(, 3)]; of more images
            than are measured, as many are drawn by the seed.
        data: the folder that `prepare` wrote.
        classifier: the reference classifier that was trained on these images, as `train_classifier` wrote it.
        params_file: its ``seed``, ``compute`` and ``evaluate`` are used; None: the released values.
        reference: real images in place of the prepared ones, divided by the seed into "training" (50%), validation
            (10%) and test images (40%). The classifier was trained on other images then: what needs its classes is left
            out.
        features: a network in place of the classifier (see :mod:`genbalance.evaluation.feature_files`), without
            classes. With ``reference`` neither ``data`` nor ``classifier`` is read then.
        features_size: pixels a side that images are resized to for this network, where its file does not say it.
        resize: samples of another size than the real images are resized by area and cut to the middle, and become grey
            where these are. (Grey ones beside colour have three equal channels in any case.)

    Raises:
        UserError: anything wrong with these, before any time is spent.
    """
    if features_size is not None and features is None:
        raise UserError(f"--features-size: found {features_size} without --features; give both or neither")
    params = _Settings.of(params_file)
    if reference is None:
        dataset, against, notes = prepared.load(data), str(data), list[str]()
    else:
        real, against = _read(reference), _name(reference, "reference")
        dataset, notes = _divided(real.images, against, params.seed), list(real.warnings)
    name = _name(samples, "images")
    read = _read(samples, dataset.shape, resize)
    images = read.images
    if (found := shape_of(images)) != dataset.shape:
        raise UserError(
            f"{name}: found images of {in_words(found)}, but those of {against} have {in_words(dataset.shape)}; make "
            "them equal, or add --resize"
        )

    from genbalance.evaluation.suite import EvaluationSuite
    from genbalance.runtime.device import set_up

    device = set_up(params.compute, params.seed, "evaluate_file")
    named = {"samples": samples.resolve().name} if isinstance(samples, Path) else {}
    if reference is not None:
        named["reference"] = reference.resolve().name if isinstance(reference, Path) else "images"
    if features is not None:
        from genbalance.evaluation import feature_files

        extractor: Extractor = (network := feature_files.load(features, features_size, dataset.shape, device))
        dataset = replace(dataset, classes=0, class_names=())
        caution = OF_A_FILE.format(network.name, network.md5, in_words([network.channels, *network.size]))
        named |= {"features": features.name, "features_md5": network.md5}
    elif reference is not None:
        extractor, title = _trained_on_others(data, classifier, dataset, against, device)
        caution = CAUTION.replace("not Inception", f"trained on other images ({title}), not Inception")
    else:
        extractor, caution = load_extractor(classifier, data, dataset, device), CAUTION
        caution += f"\n{NO_CLASSES}" if not dataset.has_classes else ""
    suite = EvaluationSuite.of(dataset, extractor, params.evaluate, params.seed, most=len(images))
    warnings = [
        *read.warnings,
        *(f"{against}: {note}" for note in notes),
        *_reasons_for_doubt(images, dataset, suite),
    ]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    drawn = _draw(images, suite.n, params.seed)
    measured = suite.measure(extractor.read(drawn))
    copies = measured.copies
    dimensions = suite.real.test.features.shape[1]
    if "fd_test" not in measured.metrics["ci95"]:
        caution += f"\n{WITHOUT_INTERVAL.format(dimensions)}"
    some = f" of {len(images):,}, drawn by the seed {params.seed}," if len(drawn) < len(images) else ""
    notes_on_reference = [_division(dataset, against, params.seed)] if reference is not None else []
    settings = ["Settings: the released ones, since there is no params.yaml."] if params_file is None else []
    return Evaluation(
        heading="\n".join(
            [
                f"{name}: {suite.n:,} images{some} against {suite.n:,} test images of {dataset.title}",
                *notes_on_reference,
                *settings,
                caution,
                *(f"warning: {warning}" for warning in warnings),
            ]
        ),
        metrics=named | {"warnings": warnings} | rounded(measured.metrics),
        classes=measured.classes.assign(**{"class": list(suite.real.class_names)}),
        copies=np.concatenate(
            [drawn[copies.generated], dataset.train.images[copies.train], dataset.test.images[copies.test]]
        ),
    )


@dataclass(frozen=True)
class _Settings:
    """What of params.yaml is used."""

    seed: int
    compute: ComputeConfig
    evaluate: EvaluateConfig

    @classmethod
    def of(cls, params_file: Path | None) -> "_Settings":
        """Those of the file; without one, the values that params.yaml is released with."""
        if params_file is not None:
            params = read_params(params_file)
            return cls(params.seed, params.compute, params.evaluate)
        released: dict[str, Any] = read_yaml(RELEASED)

        def section(name: str) -> dict[str, Any]:
            return {key.partition(".")[2]: value for key, value in released.items() if key.startswith(f"{name}.")}

        compute, evaluate = section("compute"), section("evaluate")
        return cls(released["seed"], ComputeConfig.model_validate(compute), EvaluateConfig.model_validate(evaluate))


def _name(given: Path | Images, otherwise: str) -> str:
    return otherwise if isinstance(given, np.ndarray) else str(given)


def _read(given: Path | Images, shape: Sequence[int] = (), resize: bool = False) -> image_files.Samples:
    """The images, to be compared with those of the ``shape`` [channels, height, width] if one is given: grey ones have
    three channels where these have; all else that differs is made equal if ``resize``."""
    size = shape[1:] if resize else None
    channels: Channels = "auto"
    if shape and shape[0] == 3:
        channels = 3  # samples of a model of colour may all be grey
    elif resize:
        channels = 1
    if isinstance(given, np.ndarray):
        return image_files.Samples(conform([given], size, channels)[0])
    return image_files.read_images(given, size, channels)


def _divided(images: Images, title: str, seed: int) -> prepared.Prepared:
    """Real images without labels as the splits that the suite needs: test images to compare with, and "training" images
    for the floor and for copies.

    Raises:
        UserError: too few images for that.
    """
    if len(images) < FEWEST:
        raise UserError(f"{title}: found {len(images)} images to compare with; allowed: at least {FEWEST}")
    rows = np.random.default_rng(stream_seed(seed, "evaluate/reference")).permutation(len(images))
    n_test, n_val = round(TEST * len(rows)), round(VAL * len(rows))
    test, val, train = np.split(rows, [n_test, n_test + n_val])

    def split(part: NDArray[np.int64]) -> prepared.Split:
        return prepared.Split(take(images, np.sort(part)), np.zeros(len(part), np.int64))

    fitted = split(train)
    mean, std = measure_pixels(fitted.images)
    return prepared.Prepared(fitted, split(val), split(test), "reference", title, 0, mean, std)


def _division(dataset: prepared.Prepared, title: str, seed: int) -> str:
    counts = f"{len(dataset.train):,} training, {len(dataset.val):,} validation and {len(dataset.test):,} test images"
    return f"{title}: divided by the seed {seed} into {counts}; nothing was trained on them"


def _trained_on_others(
    data: Path, classifier: Path, dataset: prepared.Prepared, title: str, device: "torch.device"
) -> tuple["Extractor", str]:
    """The reference classifier for images of another origin, and what it was trained on.

    Raises:
        UserError: it is not there, or does not take such images.
    """
    from genbalance.evaluation.features import WithoutClasses

    try:
        own = prepared.load(data)
        extractor = load_extractor(classifier, data, own, device)
    except UserError as error:
        raise UserError(f"{error}; or name another network with --features") from None
    if own.shape != dataset.shape:
        raise UserError(
            f"{classifier}: takes {in_words(own.shape)} an image, but those of {title} have {in_words(dataset.shape)}; "
            "name another network with --features"
        )
    return WithoutClasses(extractor), own.title


def _reasons_for_doubt(images: Images, dataset: prepared.Prepared, suite: "EvaluationSuite") -> Iterator[str]:
    """What makes the numbers of readable images doubtful."""
    yield from doubts(images, dataset.train.images)
    most = min(suite.config.samples, len(dataset.train), len(dataset.test))
    if suite.n < most:
        yield (
            f"only {suite.n:,} images are measured, not {most:,}: the Fréchet distance is larger for fewer images; "
            f"compare it with the value of {suite.n:,} real images in the column beside it"
        )


def _draw(images: Images, n: int, seed: int) -> Images:
    """``n`` of the images, in random order: that of a file may be the order of classes."""
    choice, order = (np.random.default_rng(stream_seed(seed, f"evaluate/{name}")) for name in ("file", "file/order"))
    rows = np.arange(n) if len(images) == n else np.sort(choice.choice(len(images), n, replace=False))
    return images[rows[order.permutation(n)]]


def _write(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def metrics_table(metrics: Mapping[str, Any], classes: "pd.DataFrame") -> str:
    """A line for each metric (value, 95% interval, what real images and the mean image get), then one for each class;
    of many classes those with the least and the largest distances.

    An arrow says where the best lies: ↓ low, ↑ high, →real near what real images get, →½ and →0 there.
    """
    columns = {str(name): list(column) for name, column in classes.items()}
    results = Results({STAGE: metrics}, {f"{STAGE}/classes": columns}, pictures={}, films={})
    rows: list[Sequence[str]] = [HEADER]
    for title, measures in GROUPS.items():
        if lines := [_row(results, measure) for measure in measures if measure.key in metrics]:
            rows += [(), (title,), *lines]
    if classes.empty:
        return aligned(rows)
    shown, chosen = extremes(columns["fd"])
    of_classes = [list(columns)]
    for label, *values in classes.iloc[shown].itertuples(index=False):
        of_classes.append([str(label), *map(number, values)])
    return f"{aligned(rows)}\n\n{f'{chosen} fd:{chr(10)}' if chosen else ''}{aligned(of_classes)}"


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
