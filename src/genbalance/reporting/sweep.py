"""Runs over several values of one parameter, perhaps over seeds each, and the file that keeps them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

from genbalance.errors import UserError
from genbalance.reporting.text import SYMBOLS

OF = {"lambda": "gan", "beta": "vae"}
COLUMNS = {
    "vae": {
        "evaluate_vae.rate": "rate",
        "evaluate_vae.distortion": "distortion",
        "evaluate_vae.nelbo": "-ELBO",
        "evaluate_vae.nll": "nll",
        "evaluate_vae.active_units": "active",
        "evaluate_vae.fd_test": "FD samples",
        "evaluate_vae.fd_reconstructions": "FD rebuilt",
        "evaluate_vae.classifier_score": "score",
    },
    "gan": {
        "evaluate_gan.fd_test": "FD",
        "evaluate_gan.classifier_score": "score",
        "evaluate_gan.precision": "precision",
        "evaluate_gan.recall": "recall",
        "evaluate_gan.coverage": "coverage",
        "evaluate_gan.d_accuracy_test": "D on test",
        "evaluate_gan.d_accuracy_generated": "D on generated",
        "evaluate_gan.d_auc_test": "D ranks",
        "evaluate_gan.class_share_min": "rarest class",
    },
}


@dataclass(frozen=True)
class Sweep:
    """Runs by the value of the one parameter that varies.

    Attributes:
        key: the parameter, dotted.
        shared: all others, dotted, but the seed.
        values: in rising order.
        seeds: of the runs of each value.
        metrics: by dotted name, for each value the value of each of its runs.
    """

    key: str
    shared: Mapping[str, Any]
    values: tuple[float, ...]
    seeds: tuple[tuple[int, ...], ...]
    metrics: Mapping[str, tuple[tuple[float, ...], ...]]

    @property
    def model(self) -> str:
        """The model that the parameter belongs to."""
        return model(self.key)

    @property
    def symbol(self) -> str:
        """λ, β or the parameter's own name."""
        return SYMBOLS.get(self.key, self.key)

    def means(self, metric: str) -> list[float]:
        """Over the seeds of each value."""
        return [mean(values) for values in self.metrics[metric]]


def model(key: str) -> str:
    """The model that a parameter belongs to."""
    return OF.get(key, key.split(".")[0])


def as_json(sweep: Sweep) -> dict[str, Any]:
    """Every metric of every run, of the model that the parameter belongs to."""
    own = tuple(f"{stage}_{sweep.model}." for stage in ("train", "evaluate"))
    points = [
        {
            sweep.key: value,
            "seeds": sweep.seeds[place],
            "metrics": {name: values[place] for name, values in sweep.metrics.items() if name.startswith(own)},
        }
        for place, value in enumerate(sweep.values)
    ]
    seeds = sorted(set(chain.from_iterable(sweep.seeds)))
    return {"parameter": sweep.key, "params": dict(sweep.shared), "seeds": seeds, "points": points}


def read_sweep(path: Path) -> Sweep:
    """What :func:`as_json` made, out of a file.

    Raises:
        UserError: it cannot be read, or it is not such a file, or it lacks what is drawn.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        key, points = told["parameter"], told["points"]
        names = sorted(set.intersection(*(set(point["metrics"]) for point in points)))
        sweep = Sweep(
            key=key,
            shared=dict(told["params"]),
            values=tuple(float(point[key]) for point in points),
            seeds=tuple(tuple(int(seed) for seed in point["seeds"]) for point in points),
            metrics={
                name: tuple(tuple(float(value) for value in point["metrics"][name]) for point in points)
                for name in names
            },
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: is no sweep; write it with `genbalance sweep EXPERIMENTS --json {path}`") from None
    if missing := [name for name in COLUMNS.get(sweep.model, ()) if name not in sweep.metrics]:
        raise UserError(f"{path}: has no {', '.join(missing)}; write it anew")
    if sweep.model not in COLUMNS or list(sweep.values) != sorted(set(sweep.values)):
        raise UserError(f"{path}: {key}: a parameter of gan or vae is needed, its values in rising order")
    runs = [len(seeds) for seeds in sweep.seeds]
    if any([len(group) for group in values] != runs for values in sweep.metrics.values()) or not all(runs):
        raise UserError(f"{path}: each metric needs a value for each seed; write it anew")
    return sweep
