"""Sweeps: runs over several values of one parameter, perhaps over seeds each; the file that keeps one, and its curves.

A sweep holds metrics of each family that its parameter belongs to and that was measured; each has figures of its own.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, OF_CLASSES, Family, known, of_param
from genbalance.reporting import grids
from genbalance.reporting.text import SYMBOLS, listed, number
from genbalance.reporting.theme import Plot, Theme, legend, log_axis
from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def columns(family: Family) -> dict[str, str]:
    """The metrics that a sweep must have measured of a family, but for those of classes, by dotted name, each with a
    short label for tables."""
    encoder, discriminator, likelihood = (part in family.parts for part in (ENCODER, DISCRIMINATOR, LIKELIHOOD))
    labels = {
        "rate": "rate" if encoder else "",
        "distortion": "distortion" if likelihood else "",
        "nelbo": "-ELBO" if likelihood else "",
        "nll": "nll" if likelihood else "",
        "active_units": "active" if encoder else "",
        "fd_test": "FD samples" if encoder else "FD",
        "fd_reconstructions": "FD rebuilt" if encoder else "",
        "classifier_score": "score",
        "precision": "" if likelihood else "precision",
        "recall": "" if likelihood else "recall",
        "coverage": "" if likelihood else "coverage",
        "d_accuracy_test": "D on test" if discriminator else "",
        "d_accuracy_generated": "D on generated" if discriminator else "",
        "d_auc_test": "D AUC" if discriminator else "",
        "class_share_min": "" if likelihood else "rarest class",
    }
    return {_metric(family, key): label for key, label in labels.items() if label}


SCORES = {"mig": "MIG", "sap": "SAP", "dci_disentanglement": "DCI", "factor_vae_score": "FactorVAE"}
"""What is measured of an encoder on data whose factors are known, in [0, 1], each with a short label."""


def scores(family: Family, metrics: Collection[str]) -> dict[str, str]:
    """The :data:`SCORES` that ``metrics`` have of a family, by dotted name, each with its label."""
    return _those_of(SCORES, family, metrics)


KL_TERMS = {"index_code_mi": "MI", "total_correlation": "TC", "dimension_wise_kl": "KL of z_j"}
"""The terms of the KL, nats per image, each with a short label; not measured of every model."""


def kl_terms(family: Family, metrics: Collection[str]) -> dict[str, str]:
    """The :data:`KL_TERMS` that ``metrics`` have of a family, by dotted name, each with its label."""
    return _those_of(KL_TERMS, family, metrics)


def _those_of(labels: Mapping[str, str], family: Family, metrics: Collection[str]) -> dict[str, str]:
    named = {_metric(family, key): label for key, label in labels.items()}
    return {name: label for name, label in named.items() if name in metrics}


def measured(key: str, metrics: Collection[str]) -> tuple[Family, ...]:
    """The families that the parameter ``key`` belongs to of which ``metrics`` has all of :func:`columns`."""
    return tuple(family for family in of_param(key) if not _lacks(family, metrics))


def missing(key: str, metrics: Collection[str]) -> list[str]:
    """What ``metrics`` lack of the nearest family of the parameter ``key``: nothing if one is measured."""
    return min((_lacks(family, metrics) for family in of_param(key)), key=len)


def _lacks(family: Family, metrics: Collection[str]) -> list[str]:
    optional = OF_CLASSES | {"nll"}  # which a curve out of one training does not measure
    return [name for name in columns(family) if name not in metrics and name.rpartition(".")[2] not in optional]


def parameters() -> str:
    """Which parameters a sweep may vary, in words."""
    coefficients = dict.fromkeys(key for family in known().values() for key in family.coefficients)
    return f"{', '.join(coefficients)}, or a parameter of {listed(known(), 'or')}"


@dataclass(frozen=True)
class Sweep:
    """Runs by the value of the one parameter that varies.

    Attributes:
        key: the parameter, dotted.
        shared: all others, dotted, but the seed.
        values: in rising order.
        seeds: of the runs of each value.
        metrics: by dotted name, for each value the value of each of its runs.
        name: what the figure is called: that of the file that keeps it, or the parameter.
        pictures: by value, PNG bytes of the first rows of :attr:`grids`, of runs of one seed, by their names; the
            values whose runs keep none are missing.
        own: all of it is out of one training, of the run that is shown.
        kl_per_latent: by value, the KL term of each latent in nats per image; the values for which it is not known are
            missing.
    """

    key: str
    shared: Mapping[str, Any]
    values: tuple[float, ...]
    seeds: tuple[tuple[int, ...], ...]
    metrics: Mapping[str, tuple[tuple[float, ...], ...]]
    name: str
    pictures: Mapping[float, Mapping[str, bytes]] = field(default_factory=dict)
    own: bool = False
    kl_per_latent: Mapping[float, Sequence[float]] = field(default_factory=dict)

    @property
    def families(self) -> tuple[Family, ...]:
        """Those that it has measured, at least one."""
        return measured(self.key, self.metrics)

    @property
    def seed(self) -> int | None:
        """That of the runs whose pictures it keeps: the least one that all values have, since latents are shared within
        a seed alone; None without such a one."""
        return min(set.intersection(*map(set, self.seeds)), default=None)

    @property
    def symbol(self) -> str:
        """λ, β or the parameter's own name."""
        return SYMBOLS.get(self.key, self.key)

    @property
    def grids(self) -> dict[str, str]:
        """The grids of which it keeps the first rows: by the name of the picture, the name in metrics/ of a run."""
        return {
            self.of(family, grid): f"train_{family.name}_{grid}" for family in self.families for grid in family.grids
        }

    def of(self, family: Family, name: str) -> str:
        """The name of a picture or figure, behind the family's where the sweep has several."""
        return name if len(self.families) == 1 else f"{family.name}_{name}"

    def means(self, metric: str) -> list[float]:
        """Over the seeds of each value."""
        return [mean(values) for values in self.metrics[metric]]


def as_json(sweep: Sweep) -> dict[str, Any]:
    """Every metric of every run, of the families that the sweep has measured."""
    own = tuple(f"{stage}_{family.name}." for family in sweep.families for stage in ("train", "evaluate"))
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


def picture_path(path: Path, name: str, value: float) -> Path:
    """Where the picture ``name`` of a value stands of the sweep in the file ``path``: in a folder of its name."""
    return path.with_suffix("") / f"{name}_{value:.15g}.png"


def read_sweep(path: Path) -> Sweep:
    """What :func:`as_json` made, out of a file, with the pictures beside it (:func:`picture_path`).

    Raises:
        UserError: it cannot be read, or it is not such a file, or it lacks what is drawn.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        key, points = content["parameter"], content["points"]
        names = sorted(set.intersection(*(set(point["metrics"]) for point in points)))
        sweep = Sweep(
            key=str(key),
            shared=dict(content["params"]),
            values=tuple(_finite(point[key]) for point in points),
            seeds=tuple(tuple(int(_finite(seed)) for seed in point["seeds"]) for point in points),
            metrics={name: tuple(tuple(map(_finite, point["metrics"][name])) for point in points) for name in names},
            name=path.stem,
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise UserError(
            f"{path}: is no sweep; write it with `genbalance sweep show EXPERIMENTS --json {path}`"
        ) from None
    if mistake := _mistake(sweep):
        raise UserError(f"{path}: {mistake}; write it again with `genbalance sweep show EXPERIMENTS --json {path}`")
    return replace(sweep, pictures=_pictures(sweep, path))


def _pictures(sweep: Sweep, path: Path) -> dict[float, dict[str, bytes]]:
    """The pictures of the values that have all of theirs.

    Raises:
        UserError: one cannot be read or is no grid.
    """
    found = {}
    for value in sweep.values:
        files = {name: picture_path(path, name, value) for name in sweep.grids}
        if all(file.is_file() for file in files.values()):
            found[value] = {name: _grid(file, path) for name, file in files.items()}
    return found


def _grid(file: Path, path: Path) -> bytes:
    try:
        png = file.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        rows = grids.row_count(png)
    except OSError:
        rows = 0
    if rows < 2:
        raise UserError(
            f"{file}: is no grid of {grids.COLUMNS} columns; remove it, or write it again with "
            f"`genbalance sweep show EXPERIMENTS --json {path}`"
        )
    return png


def _mistake(sweep: Sweep) -> str | None:
    """What is wrong with a sweep out of a file."""
    if not of_param(sweep.key):
        return f"parameter: found {sweep.key!r}; allowed: {parameters()}"
    if list(sweep.values) != sorted(set(sweep.values)):
        return f"{sweep.key}: found {', '.join(map(str, sweep.values))}; allowed: values in rising order"
    if lacks := missing(sweep.key, sweep.metrics):
        return f"metrics: has no {', '.join(lacks)}"
    runs = [len(seeds) for seeds in sweep.seeds]
    if not all(runs):
        return "seeds: found none; allowed: at least one of each value"
    for name, values in sweep.metrics.items():
        if (found := [len(group) for group in values]) != runs:
            return f"{name}: found {found} numbers for {runs} seeds; allowed: one each"
    return None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)


def _metric(family: Family, key: str) -> str:
    return f"evaluate_{family.name}.{key}"


RING = " The ring is this run."
Here = Mapping[str, float]
"""A run that is marked on the curves: the value of the parameter that varies and its metrics, by their names."""


def marked(family: Family) -> tuple[str, ...]:
    """The metrics that place the ring of a run on a family's main curve."""
    keys = ("rate", "distortion") if LIKELIHOOD in family.parts else ("fd_test",)
    return tuple(_metric(family, key) for key in keys)


def figure(sweep: Sweep, family: Family, here: Here | None = None) -> Plot:
    """The curves of a family along a sweep, with a ring where the run ``here`` stands."""
    draw = rate_distortion if LIKELIHOOD in family.parts else balance
    return draw(sweep, family, here)


def rate_distortion(sweep: Sweep, family: Family, here: Here | None = None) -> Plot:
    """Rate against distortion, and along the sweep the active units and both Fréchet distances."""
    rate, distortion = (sweep.means(_metric(family, key)) for key in ("rate", "distortion"))
    distances = [_metric(family, key) for key in ("fd_test", "fd_reconstructions")]

    def draw(figure: "Figure", theme: Theme) -> None:
        curve, units, lower, *more = _panels(figure, bool(scores(family, sweep.metrics)))
        _curve(curve, theme, sweep, family, here)
        _spread(units, sweep, _metric(family, "active_units"), theme.of(family), "active units")
        units.set_ylabel("active units")
        units.set_ylim(bottom=0)
        _spread(lower, sweep, distances[0], theme.of(family), "samples")
        _spread(lower, sweep, distances[1], theme.extra, "reconstructions", "--", "s")
        log_axis(lower, [value for metric in distances for value in sweep.means(metric)])
        _along(sweep, lower, "Fréchet distance")
        for panel in more:
            _disentanglement(panel, theme, sweep, family)

    ends = f"{sweep.values[0]:g} to {sweep.values[-1]:g}"
    return Plot(
        _name(sweep, family, "sweep"),
        _title(sweep, family),
        f"As {sweep.symbol} goes from {ends} the rate goes from {number(rate[0])} to {number(rate[-1])} and the "
        f"distortion from {number(distortion[0])} to {number(distortion[-1])} nats per image.",
        "A point for each value." + _about_scores(sweep, family) + (RING if here else ""),
        draw,
        _size(sweep, family),
    )


def balance(sweep: Sweep, family: Family, here: Here | None = None) -> Plot:
    """The Fréchet distance, D's accuracies, precision and recall along the sweep."""
    fd = sweep.means(_metric(family, "fd_test"))
    best = sweep.values[fd.index(min(fd))]

    def draw(figure: "Figure", theme: Theme) -> None:
        distance, right, shares, *more = _panels(figure, bool(scores(family, sweep.metrics)))
        _distance(distance, theme, sweep, family, here)
        _beside_distance(right, theme, sweep, family)
        _spread(shares, sweep, _metric(family, "precision"), theme.of(family), "precision")
        _spread(shares, sweep, _metric(family, "recall"), theme.extra, "recall", "--", "s")
        shares.set_ylim(-0.03, 1.03)
        _along(sweep, shares, "share")
        for panel in more:
            _disentanglement(panel, theme, sweep, family)

    return Plot(
        _name(sweep, family, "sweep"),
        _title(sweep, family),
        f"Over {sweep.symbol} from {sweep.values[0]:g} to {sweep.values[-1]:g} the Fréchet distance is least at "
        f"{best:g}, {number(min(fd))}, and largest {number(max(fd))}.",
        "Lines: means over seeds; dots: runs; bands: a standard deviation to either side."
        + _about_scores(sweep, family)
        + (RING if here else ""),
        draw,
        _size(sweep, family),
    )


def _curve(panel: "Axes", theme: Theme, sweep: Sweep, family: Family, here: Here | None) -> None:
    rate, distortion = marked(family)
    x, y = sweep.means(rate), sweep.means(distortion)
    panel.plot(x, y, color=theme.of(family), marker="o", ms=4.5)
    for value, place in zip(sweep.values, zip(x, y, strict=True), strict=True):
        panel.annotate(f"{value:g}", place, (5, 4), textcoords="offset points", color=theme.muted, fontsize=9.5)
    panel.set(xlabel="rate [nats per image]", ylabel="distortion [nats per image]", title=f"labels: {sweep.symbol}")
    panel.title.set(fontsize=10, color=theme.muted)
    panel.margins(0.12, 0.08)
    if here:
        _ring(panel, here[rate], here[distortion], theme)


def _distance(panel: "Axes", theme: Theme, sweep: Sweep, family: Family, here: Here | None) -> None:
    metric = _metric(family, "fd_test")
    _spread(panel, sweep, metric, theme.of(family), "Fréchet distance")
    log_axis(panel, [value for values in sweep.metrics[metric] for value in values])
    _along(sweep, panel, "Fréchet distance")
    if here:
        _ring(panel, here[sweep.key], here[metric], theme)


def _beside_distance(panel: "Axes", theme: Theme, sweep: Sweep, family: Family) -> None:
    """D's accuracies; the classifier score of a family without D, or without classes coverage."""
    if DISCRIMINATOR not in family.parts:
        scored = _metric(family, "classifier_score") in sweep.metrics
        metric, label = ("classifier_score", "classifier score") if scored else ("coverage", "coverage")
        _spread(panel, sweep, _metric(family, metric), theme.of(family), label)
        panel.set_ylabel(label.replace(" ", "\n"))
        return
    panel.axhline(0.5, color=theme.muted, lw=1.2, ls=(0, (2, 2)))
    _spread(panel, sweep, _metric(family, "d_accuracy_test"), theme.real, "real, test images", "--", "s")
    _spread(panel, sweep, _metric(family, "d_accuracy_generated"), theme.of(family), "generated")
    panel.set(ylabel="D’s accuracy", ylim=(-0.03, 1.03))


def _disentanglement(panel: "Axes", theme: Theme, sweep: Sweep, family: Family) -> None:
    """The mean of each score over seeds and, where all values have several, its 95% interval as a bar."""
    looks = ((theme.of(family), "o-"), (theme.real, "s--"), (theme.extra, "^-."), (theme.muted, "D:"))
    for (metric, label), (ink, look) in zip(scores(family, sweep.metrics).items(), looks, strict=False):
        middle = sweep.means(metric)
        panel.plot(sweep.values, middle, look, color=ink, ms=4, label=label)
        if has_several(sweep):
            bars = [half_interval(group) for group in sweep.metrics[metric]]
            panel.errorbar(sweep.values, middle, bars, fmt="none", ecolor=ink, elinewidth=1.2, capsize=3)
    _log_x(panel, sweep)
    legend(panel)
    panel.set_ylim(-0.03, 1.03)
    _along(sweep, panel, "disentanglement")


def half_interval(values: Sequence[float]) -> float:
    """Half the width of Student's 95% interval of the mean of several values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def has_several(sweep: Sweep) -> bool:
    """Whether each value has several seeds."""
    return min(map(len, sweep.seeds)) > 1


def best_scores(sweep: Sweep, family: Family) -> str:
    """Where each of :func:`scores` is best over the sweep, in a sentence; nothing where there is none."""
    found = []
    for metric, label in scores(family, sweep.metrics).items():
        means = sweep.means(metric)
        found.append(f"{label} {max(means):.2f} at {sweep.symbol} = {sweep.values[means.index(max(means))]:g}")
    return f"Disentanglement is best by {listed(found)}." if found else ""


def _about_scores(sweep: Sweep, family: Family) -> str:
    if not (known := scores(family, sweep.metrics)):
        return ""
    bars = ", bars: their 95% intervals" if has_several(sweep) else ""
    return f" {listed(known.values())}: means over seeds{bars}; 1 is best. {best_scores(sweep, family)}"


def _size(sweep: Sweep, family: Family) -> tuple[float, float]:
    return (9.4, 5.6 if scores(family, sweep.metrics) else 4.4)


def _name(sweep: Sweep, family: Family, kind: str) -> str:
    return f"{sweep.name.replace('.', '_')}_{sweep.of(family, kind)}"


def _title(sweep: Sweep, family: Family) -> str:
    return f"What {sweep.symbol} does" + ("" if len(sweep.families) == 1 else f" in the {family.title}")


def _ring(panel: "Axes", x: float, y: float, theme: Theme) -> None:
    panel.plot([x], [y], "o", ms=13, mfc="none", mec=theme.ink, mew=1.4)


def _panels(figure: "Figure", more: bool) -> list["Axes"]:
    """A large one beside two small ones on one axis; with a fourth one on that axis below the first, where there is
    ``more``."""
    grid = figure.add_gridspec(2, 2)
    lower = figure.add_subplot(grid[1, 1])
    upper = figure.add_subplot(grid[0, 1], sharex=lower)
    upper.tick_params(labelbottom=False)
    if not more:
        return [figure.add_subplot(grid[:, 0]), upper, lower]
    return [figure.add_subplot(grid[0, 0]), upper, lower, figure.add_subplot(grid[1, 0], sharex=lower)]


def _spread(
    panel: "Axes", sweep: Sweep, metric: str, ink: str, label: str, style: str = "-", marker: str = "o"
) -> None:
    """The mean over seeds as a line, each run as a dot, and a standard deviation to either side as a band."""
    middle, groups = sweep.means(metric), sweep.metrics[metric]
    panel.plot(sweep.values, middle, style, color=ink, label=label)
    for value, group in zip(sweep.values, groups, strict=True):
        panel.plot([value] * len(group), group, marker, color=ink, ms=3.5, alpha=0.8)
    if all(len(group) > 1 for group in groups):
        widths = [stdev(group) for group in groups]
        low, high = ([m + sign * w for m, w in zip(middle, widths, strict=True)] for sign in (-1, 1))
        least = min(min(group) for group in groups)  # a logarithmic axis has no room below it
        panel.fill_between(sweep.values, [max(value, least) for value in low], high, color=ink, alpha=0.15, lw=0)
    _log_x(panel, sweep)
    if len(panel.get_lines()) > len(groups) + 1:
        legend(panel)


def _log_x(panel: "Axes", sweep: Sweep) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

    if sweep.values[0] > 0:
        panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(sweep.values))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", which="minor", length=0)


def _along(sweep: Sweep, panel: "Axes", label: str) -> None:
    panel.set(xlabel=sweep.symbol, ylabel=label)
