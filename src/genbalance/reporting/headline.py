"""The few numbers and pictures that stand for a whole pipeline run; none depends on the data alone, such as a floor."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family
from genbalance.reporting.measures import ARROWS, GROUPS
from genbalance.reporting.results import Results

SAMPLES = ("fd_infinity", "precision", "recall", "density", "coverage", "nn_accuracy", "authenticity")
SCORE = "classifier_score"  # the only one that needs classes
Places = dict[str, tuple[str, str]]
"""By the name that a number has in the headline: the stage whose metrics hold it, and its key there."""


def headline_places(families: Iterable[Family]) -> Places:
    """The numbers that the parent run shows in the tracker's table."""
    return {"test_accuracy": ("train_classifier", "test_accuracy")} | {
        f"{family.name}_{key}": (f"evaluate_{family.name}", key) for family in families for key in _keys(family)
    }


def _keys(family: Family) -> tuple[str, ...]:
    encoder, discriminator, likelihood = (part in family.parts for part in (ENCODER, DISCRIMINATOR, LIKELIHOOD))
    return (
        *("fd_test", "kid_test", SCORE),
        *(("d_accuracy_generated",) * discriminator),
        *SAMPLES,
        *(("nll", "nelbo") * likelihood),
        *(("rate",) * encoder),
        *(("distortion",) * likelihood),
        "mse",
        *(("psnr",) * encoder),
        "ssim",
        *(("active_units",) * encoder),
    )


def headline_pictures(families: Iterable[Family]) -> dict[str, Path]:
    """The last epoch's grids, by the name that they have in the parent run."""
    names = [f"{family.name}_{grid}" for family in families for grid in family.grids]
    return {name: Path(f"metrics/train_{name}.png") for name in names}


def headline(results: Results) -> dict[str, float]:
    """What the parent run shows in the tracker's table, by name."""
    places = headline_places(results.families)
    return {name: results.number(*place) for name, place in places.items() if results.has_classes or place[1] != SCORE}


SUMMARY_DIGITS = 4  # significant ones; with six columns that λ and β change, `dvc exp show` fits into 120 columns


def summary_places(families: Sequence[Family]) -> Places:
    """The numbers of metrics/summary.json: a few of each family, those of the first likelihood under short names."""
    first = f"evaluate_{families[0].name}"
    places = {
        "n": (first, "n"),
        "accuracy": ("train_classifier", "test_accuracy"),
        "fd_floor": (first, "fd_floor"),
        "fd_ceiling": (first, "fd_ceiling"),
    }
    for family in families:
        likelihood = LIKELIHOOD in family.parts
        keys = [
            "fd_test",
            *(["recall"] if DISCRIMINATOR in family.parts else []),
            *(["rate"] if ENCODER in family.parts else []),
            *(["distortion", "nll"] if likelihood else []),
        ]
        for key in keys:
            short = likelihood and key != "fd_test" and key not in places
            name = key if short else f"{family.name}_{key.removesuffix('_test')}"
            places[name] = (f"evaluate_{family.name}", key)
    return places


def summary(results: Results) -> dict[str, float]:
    """What DVC's tables show of a run (metrics/summary.json), by short name."""
    values = {name: results.number(*place) for name, place in summary_places(results.families).items()}
    return {n: v if isinstance(v, int) else float(f"{v:.{SUMMARY_DIGITS}g}") for n, v in values.items()}


PRINTED = (
    *("fd_test", "kid_test", "classifier_score", "precision", "recall", "density", "coverage"),
    *("nn_accuracy", "authenticity", "ssim", "nelbo", "nll"),
)
"""The rows of the table in the terminal, by the names of the metrics."""

NEXT = """\
The page: reports/index.html
Next:     dvc exp run --temp -S beta=4   another β, in a copy of this folder
          make ui                        the runs in MLflow"""
"""What `dvc repro` and `make repro` end with, below the table."""
LABELS, WIDTH = 44, 80  # columns of the table: labels with their arrows, and all


def headline_table(results: Results) -> str:
    """A dozen numbers of each family beside those of real images as plain text, up to three families in 80 columns.

    An arrow says where the best lies: ↓ low, ↑ high, →real near what real images get, →½ there.

    Raises:
        UserError: a metric is missing, or is not a number.
    """
    families = results.families
    measures = {measure.key: measure for measures in GROUPS.values() for measure in measures}
    n = results.number(f"evaluate_{families[0].name}", "n")
    title = results.metrics["prepare"].get("title", "")
    lines = [
        f"{title}: {n:,} samples against {n:,} test images",
        _row("", "", *(family.title for family in families), "real images"),
    ]
    for measure in (measures[key] for key in PRINTED):
        own = [family for family in families if measure.of(family)]
        if own and (results.has_classes or not measure.of_classes):
            cells = [(family, measure.key if family in own else None) for family in families]
            cells.append((own[-1], measure.real if isinstance(measure.real, str) else None))
            values = (_cell(results, family, key) if key else "" for family, key in cells)
            lines.append(_row(measure.label, ARROWS[measure.better], *values))
    return "\n".join(lines)


def _cell(results: Results, family: Family, key: str) -> str:
    return f"{results.number(f'evaluate_{family.name}', key):z,.3f}".replace("-", "−")


def _row(label: str, arrow: str, *values: str) -> str:
    room = WIDTH - LABELS - 12
    width = max(8, min(10, room // (len(values) - 1)))
    last = 13 if width == 10 else 12
    cells = "".join(f"{value:>{width}}" for value in values[:-1])
    return f"{label:<38} {arrow:<5}{cells}{values[-1]:>{last}}".rstrip()
