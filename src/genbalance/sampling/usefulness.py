"""How useful samples are to someone without the real images: a classifier that is trained on them, tested on real ones.

"Train on synthetic, test on real" (TSTR: Esteban et al. 2017, arXiv:1706.02633), the measure by which papers on
differentially private models compare. Nothing heavy loads before the options are checked.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pixels import measure
from genbalance.data.prepared import Prepared, Split
from genbalance.params import Params
from genbalance.reporting.text import aligned, number, share, span
from genbalance.runtime.errors import UserError
from genbalance.sampling.context import Context, check_there

if TYPE_CHECKING:
    import torch

    from genbalance.tracking import Run

CONDITIONAL = ".conditional"  # ends the name of the param with which a family's models draw a class that is asked for


@dataclass(frozen=True)
class Usefulness:
    """``accuracy`` of a classifier trained on ``samples`` labelled samples of a ``model``, and ``accuracy_real`` of one
    trained on ``real`` training images, both on all ``tested`` test images, with their 95% intervals in ``ci95``."""

    model: str
    samples: int
    real: int
    tested: int
    accuracy: float
    accuracy_real: float
    ci95: dict[str, dict[str, float]]
    provenance: dict[str, Any]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("a classifier trained on", "images", "accuracy", "95% interval")]
        for name, key, count in (
            (f"samples of {self.model}", "accuracy", self.samples),
            ("real training images", "accuracy_real", self.real),
        ):
            ends = self.ci95[key]
            rows.append((name, number(count), share(getattr(self, key)), span(ends["low"], ends["high"])))
        return f"{aligned(rows)}\nBoth are tested on {self.tested:,} real test images."

    @property
    def metrics(self) -> dict[str, Any]:
        """All of it, by name."""
        names = ("samples", "real", "tested", "accuracy", "accuracy_real", "ci95")
        return {name: getattr(self, name) for name in names} | self.provenance


def usefulness(context: Context, count: int | None) -> Usefulness:
    """Trains the reference classifier, with the params that it has, on ``count`` samples of a conditional model, evenly
    of all classes, and tests it beside that which was trained on real images.

    Args:
        context: the model, the data, the classifier of the real images, and params; tries are not used.
        count: how many samples; None: as many as there are training images.

    Raises:
        UserError: the model cannot be asked for a class, or something else is not as it should be.
    """
    dataset, config = context.dataset, context.config
    if not dataset.has_classes:
        raise UserError(f"{context.data}: the images have no classes to learn; allowed: labelled images")
    count, least = len(dataset.train) if count is None else count, config.classifier.batch_size
    if count < least:
        raise UserError(f"--count: found {count}; allowed: at least classifier.batch_size, {least}")
    check_there(context.classifier, context.file)
    samples = labelled_samples(context, count)
    right = {
        "accuracy": trained_on(samples, dataset, config.model_copy(update={"seed": context.root}), context.device),
        "accuracy_real": context.extractor.read(dataset.test.images).probabilities.argmax(axis=1)
        == dataset.test.labels,
    }

    from genbalance.evaluation.bootstrap import wilson

    tested = len(dataset.test)
    accuracies = {name: float(each.mean()) for name, each in right.items()}
    low, high = wilson(np.array(list(accuracies.values())), tested)
    ci95 = {name: {"low": float(a), "high": float(b)} for name, a, b in zip(accuracies, low, high, strict=True)}
    return Usefulness(
        context.model,
        len(samples),
        len(dataset.train),
        tested,
        **accuracies,
        ci95=ci95,
        provenance=context.provenance,
    )


def labelled_samples(context: Context, count: int) -> Split:
    """``count`` samples as training images, with the classes that the model was asked for: of each as many, and of the
    first ones one more each where they do not divide.

    Raises:
        UserError: the model cannot be asked for a class.
    """
    from genbalance.runtime.device import generator

    sampler, classes = context.sampler, context.dataset.classes
    if not sampler.classes:
        keys = [key for key in context.config.flat() if key.endswith(CONDITIONAL)]
        own = [key for key in keys if key == f"{context.model}{CONDITIONAL}"]
        allowed = " or ".join(f"{key}=true" for key in own or keys)
        raise UserError(
            f"{context.file}: draws no class that is asked for, so that its samples have no labels; allowed: a model "
            f"trained with {allowed}"
        )
    noise = generator(context.root, f"usefulness/{context.model}", context.device)
    labels = np.sort(np.arange(count) % classes)
    wanted = zip(*np.unique(labels, return_counts=True), strict=True)
    images = [sampler.images(*sampler.draw(int(of_class), noise, int(label))) for label, of_class in wanted]
    return Split(np.concatenate(images), labels)


def trained_on(samples: Split, dataset: Prepared, params: Params, device: "torch.device") -> NDArray[np.bool_]:
    """Of each test image whether the classifier reads its class that is trained on ``samples`` in the place of the
    training images, of which nothing is used, not even their mean.

    Raises:
        UserError: a batch does not fit the samples, or the training has diverged.
    """
    from genbalance.training.classifier import train

    mean, std = measure(samples.images)
    trained = train(params, replace(dataset, train=samples, mean=mean, std=std), device, cast("Run", _Untracked()))
    confusion = trained.tables["confusion"]
    right: NDArray[np.bool_] = (confusion["actual"] == confusion["predicted"]).to_numpy()
    return right


class _Untracked:
    """In the place of a stage's run: it keeps nothing, and nothing resumes."""

    key = run_id = ""

    def log(self, *_: Any, **__: Any) -> None:
        pass

    image = tag = flush = log
