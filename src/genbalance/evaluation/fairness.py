"""Whether a model draws every class equally often and equally well."""

from functools import partial

import numpy as np
import pandas as pd

from genbalance.evaluation.bootstrap import Bootstrap, wilson
from genbalance.evaluation.classes import class_shares, read_classes
from genbalance.evaluation.features import Features
from genbalance.evaluation.frechet import FeatureMatrix, frechet_distance, frechet_weighted
from genbalance.evaluation.reference import Real

FEWEST = 2  # images of a class that have a covariance
MOST_CLASSES = 100  # whose distances have intervals: 1,000 would take a minute
COLUMNS = (
    *("class", "generated", "generated_low", "generated_high", "real"),
    *("n", "fd", "fd_low", "fd_high", "fd_floor", "confidence"),
)


def class_table(generated: Features, real: Real, bootstrap: Bootstrap | None) -> pd.DataFrame:
    """A row for each class as the classifier reads it.

    Columns: ``class``; ``generated`` and ``real``, its share of the samples and of the test images; ``generated_low``
    and ``generated_high``, the 95% interval of the first (:func:`genbalance.evaluation.bootstrap.wilson`); ``n`` images
    a side of the distances; ``fd`` of the class's samples to its test images, ``fd_low`` and ``fd_high``, the ends of
    its 95% interval by ``bootstrap`` (``fd`` itself without one, and of more than 100 classes), and ``fd_floor`` of as
    many training images to the same; ``confidence``, the mean probability of the class that was read. A class of which
    there are fewer than two samples gets the distance of its mean image, what a model without diversity would draw, and
    confidence 0. Where there are fewer than two real images nothing is measured: n and the distances are 0. Without
    classes, no rows.
    """
    if real.class_means is None:
        return pd.DataFrame(columns=[*COLUMNS])
    sides = [(reading.features, read_classes(reading.probabilities)) for reading in (generated, real.test, real.floor)]
    certainty = generated.probabilities.max(axis=1).astype(np.float64)
    rows = []
    bootstrap = bootstrap if len(real.class_means) <= MOST_CLASSES else None
    for label, mean in enumerate(real.class_means):
        drawn, test, floor = (features[read == label] for features, read in sides)
        sure = certainty[sides[0][1] == label]
        rows.append(
            _distances(drawn, test, floor, mean, bootstrap)
            | {"confidence": float(sure.mean()) if len(sure) > 1 else 0.0}
        )
    drawn_shares = class_shares(generated.probabilities)
    low, high = wilson(drawn_shares, len(generated.features))
    shares = {"generated": drawn_shares, "generated_low": low, "generated_high": high}
    shares["real"] = class_shares(real.test.probabilities)
    return pd.DataFrame({"class": range(len(rows)), **shares}).join(pd.DataFrame(rows))


def extreme_intervals(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The intervals of ``class_share_min``, ``class_share_max`` and ``fd_class_worst``, those of the classes that have
    these values; of a distance only where it has one."""
    rarest, commonest, worst = table["generated"].argmin(), table["generated"].argmax(), table["fd"].argmax()
    rows = {"class_share_min": (rarest, "generated"), "class_share_max": (commonest, "generated")}
    if table["fd_low"][worst] < table["fd_high"][worst]:
        rows["fd_class_worst"] = (worst, "fd")
    return {
        name: {end: float(table[f"{column}_{end}"].iloc[row]) for end in ("low", "high")}
        for name, (row, column) in rows.items()
    }


def _distances(
    drawn: FeatureMatrix, test: FeatureMatrix, floor: FeatureMatrix, mean: FeatureMatrix, bootstrap: Bootstrap | None
) -> dict[str, float]:
    n = min(len(test), len(floor))
    if n < FEWEST:
        return {"n": 0, **dict.fromkeys(("fd", "fd_low", "fd_high", "fd_floor"), 0.0)}
    if len(drawn) >= FEWEST:
        n = min(n, len(drawn))
        drawn = drawn[:n]
    else:
        drawn = np.stack([mean, mean])
    test = test[:n]
    fd = frechet_distance(drawn, test)
    ends = {"low": fd, "high": fd}
    if bootstrap:
        ends = bootstrap.statistic(fd, (len(drawn), n), partial(frechet_weighted, drawn, test))
    return {
        **{"n": n, "fd": fd, "fd_low": max(0.0, ends["low"]), "fd_high": ends["high"]},
        "fd_floor": frechet_distance(floor[:n], test),
    }


def balance(table: pd.DataFrame, generated: Features, real: Real) -> dict[str, float]:
    """The worst class against the mean class, out of `class_table`: 1 where all classes are equal.

    ``share_worst_to_mean``: of each class's share over its share among real images, the least over the mean; 0 where a
    class is not drawn. ``fd_worst_to_mean``: of the classes' Fréchet distances, the largest over the mean.
    """
    present = table[table["real"] > 0]
    ratios = (present["generated"] / present["real"]).to_numpy()
    distances = table.loc[table["n"] > 0, "fd"].to_numpy()
    if not len(distances):  # no class has two real images
        distances = np.array([frechet_distance(generated.features, real.test.features)])
    mean, worst = float(distances.mean()), float(distances.max())
    return {
        "class_share_min": float(table["generated"].min()),
        "class_share_max": float(table["generated"].max()),
        "share_worst_to_mean": float(ratios.min() / ratios.mean()) if ratios.any() else 0.0,
        "fd_class_mean": mean,
        "fd_class_worst": worst,
        "fd_worst_to_mean": worst / mean if mean > 0 else 1.0,
    }
