"""A sweep that a reader moves through: at one value of its parameter at a time the pictures, the numbers and the marked
points of the curves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from genbalance.families.registry import DISCRIMINATOR, LIKELIHOOD, Family
from genbalance.reporting import chart, grids
from genbalance.reporting.chart import Chart, Series
from genbalance.reporting.measures import GROUPS
from genbalance.reporting.sweep import Here, Sweep, columns, figure, half_interval, has_several, marked, scores
from genbalance.reporting.text import listed, number, share, tick

HIGH, LOW = 200, 140  # of the main chart and of the others
SHARES = {measure.key for group in GROUPS.values() for measure in group if measure.share}
HEADINGS = {
    "samples": "Samples: the same latents at each value",
    "reconstructions": "Reconstructions, below their originals",
}
DASHED = " The dashed ring is this run, whose settings differ."
INKS = ("real", "extra", "muted")  # behind the family's own
FAR = 3  # times beyond the curve: a run of other settings that stands there is not shown


@dataclass(frozen=True)
class Picture:
    """PNG bytes, their size in pixels, and what they show in words."""

    png: bytes
    size: tuple[int, int]
    alt: str


@dataclass(frozen=True)
class Stop:
    """One value of the parameter.

    Attributes:
        label: the value as the page writes it.
        here: it is this run's, whose other parameters are those of the sweep.
        numbers: the mean of each column, and behind it the standard deviation over seeds, empty for one seed.
        command: the shell command that makes the run.
        pictures: by what they show; without those that the run has not kept.
        bars: the path of a bar for the KL term of each latent; empty if they are not known.
        words: all numbers in a sentence.
    """

    label: str
    here: bool
    numbers: tuple[tuple[str, str], ...]
    command: str
    pictures: Mapping[str, Picture]
    bars: str
    words: str


@dataclass(frozen=True)
class Slider:
    """All that the figure shows.

    Attributes:
        name: one that no other figure has.
        symbol: of the parameter.
        title: what the figure is called.
        ink: the style sheet's class of the family's colour.
        stops: in rising order of the value.
        start: the place of the one that is shown first.
        columns: what the numbers are.
        pictures: what the pictures show, each with a heading.
        charts: the main one first.
        bars: the axes of the bars, if the KL terms are known.
        caption: below it, in sentences.
    """

    name: str
    symbol: str
    title: str
    ink: str
    stops: tuple[Stop, ...]
    start: int
    columns: tuple[str, ...]
    pictures: Mapping[str, str]
    charts: tuple[Chart, ...]
    bars: Chart | None
    caption: str


def slider(
    sweep: Sweep,
    family: Family,
    value: float,
    here: Here | None,
    command: Callable[[float], str],
    alike: bool = True,
    note: str = "",
) -> Slider:
    """The figure of what a sweep measured of a family.

    Args:
        sweep: of one value or of any number of them.
        family: one of those that it measured.
        value: this run's own: the figure starts there if it is among the sweep's, and else at the one nearest to 1.
        here: where this run stands, if it is to be marked.
        command: the shell command that makes the run of a value.
        alike: this run has the settings of the sweep. If not, its mark is dashed, or left out if far off the curve.
        note: what else the caption says.
    """
    if here and not alike and not all(_is_near(here[name], sweep.means(name)) for name in marked(family)):
        here = None
    plot = figure(sweep, family, here if alike else None)
    names = {grid: sweep.of(family, grid) for grid in family.grids}
    labels = columns(family) | scores(family, sweep.metrics)
    keys = [name for name in _metrics(sweep, family) if name in labels]
    nearest = min(range(len(sweep.values)), key=lambda place: abs(sweep.values[place] - 1))
    bars = _bars(sweep)
    dashed = DASHED if here and not alike else ""
    return Slider(
        plot.name,
        sweep.symbol,
        plot.title,
        family.name,
        tuple(_stop(sweep, place, keys, labels, names, command, value if alike else None, bars) for place in
              range(len(sweep.values))),
        sweep.values.index(value) if value in sweep.values else nearest,
        tuple(labels[name] for name in keys),
        {grid: HEADINGS.get(grid, grid.capitalize()) for grid in names if sweep.pictures},
        tuple(_charts(sweep, family, plot.alt, here, not alike)),
        bars[0] if bars else None,
        f"{plot.caption}{dashed} FD: Fréchet distance. {note}".strip(),
    )  # fmt: skip


def _is_near(value: float, curve: Sequence[float]) -> bool:
    return min(curve) / FAR <= value <= FAR * max(curve)


def _stop(
    sweep: Sweep,
    place: int,
    keys: Sequence[str],
    labels: Mapping[str, str],
    names: Mapping[str, str],
    command: Callable[[float], str],
    own: float | None,
    bars: tuple[Chart, Mapping[float, str]] | None,
) -> Stop:
    value = sweep.values[place]
    at = f"{sweep.symbol} = {number(value)}"
    numbers = tuple(_number(name, sweep.metrics[name][place]) for name in keys)
    said = (" ".join(filter(None, (labels[name], *both))) for name, both in zip(keys, numbers, strict=True))
    return Stop(
        number(value),
        value == own,
        numbers,
        command(value),
        {
            grid: Picture(png, grids.size(png), f"{grid.capitalize()} at {at}")
            for grid, name in names.items()
            if (png := sweep.pictures.get(value, {}).get(name))
        },
        bars[1].get(value, "") if bars else "",
        f"{at}: {', '.join(said)}",
    )


def _number(name: str, values: Sequence[float]) -> tuple[str, str]:
    is_share = name.rpartition(".")[2] in SHARES
    middle = mean(values)
    spread = f"± {number(stdev(values), 2)}" if len(values) > 1 else ""
    return share(middle) if is_share else number(middle, 3), spread


def _metrics(sweep: Sweep, family: Family) -> list[str]:
    """The metrics of the charts, by dotted name."""
    if LIKELIHOOD in family.parts:
        keys = ["rate", "distortion", "active_units", "fd_test", "fd_reconstructions"]
    else:
        keys = ["fd_test", *_beside_distance(sweep, family), "precision", "recall"]
    return [f"evaluate_{family.name}.{key}" for key in keys] + list(scores(family, sweep.metrics))


def _beside_distance(sweep: Sweep, family: Family) -> dict[str, str]:
    """D's accuracies; the classifier score of a family without D, or without classes coverage. By their labels."""
    if DISCRIMINATOR in family.parts:
        return {"d_accuracy_test": "real, test images", "d_accuracy_generated": "generated"}
    if f"evaluate_{family.name}.classifier_score" in sweep.metrics:
        return {"classifier_score": "classifier score"}
    return {"coverage": "coverage"}


def _charts(sweep: Sweep, family: Family, alt: str, here: Here | None, dashed: bool) -> Iterator[Chart]:
    own = f"evaluate_{family.name}."

    def lines(labels: Mapping[str, str], inks: Sequence[str]) -> list[Series]:
        return [
            Series(label, ink, sweep.values, sweep.metrics[own + key], _spreads(sweep.metrics[own + key]))
            for (key, label), ink in zip(labels.items(), inks, strict=False)
        ]

    inks = (family.name, *INKS)
    if LIKELIHOOD in family.parts:
        yield _trade(sweep, family, alt, here, dashed)
        units = lines({"active_units": "active units"}, inks)
        most = max(max(group) for group in units[0].groups)
        yield _over(sweep, "Active units", units, chart.y_axis(0, 1.08 * max(most, 1), LOW))
        distances = lines({"fd_test": "samples", "fd_reconstructions": "reconstructions"}, (family.name, "extra"))
        yield _over(sweep, "Fréchet distance", distances, chart.spread_axis(distances, LOW, log=True))
    else:
        distance = lines({"fd_test": "Fréchet distance"}, inks)
        ring = (here[sweep.key], here[own + "fd_test"]) if here else None
        y = chart.spread_axis(distance, HIGH, True, [ring[1]] if ring else ())
        yield _over(sweep, "Fréchet distance", distance, y, HIGH, alt, ring, dashed)
        beside = lines(
            _beside_distance(sweep, family), ("real", family.name) if DISCRIMINATOR in family.parts else inks
        )
        if DISCRIMINATOR in family.parts:
            yield _over(sweep, "D’s accuracy", beside, _shares(), level=0.5)
        else:
            yield _over(sweep, beside[0].label.capitalize(), beside, chart.spread_axis(beside, LOW))
        yield _over(
            sweep, "Precision and recall", lines({"precision": "precision", "recall": "recall"}, (inks[0], "extra")),
            _shares(),
        )  # fmt: skip
    if known := scores(family, sweep.metrics):
        yield _over(
            sweep,
            "Disentanglement",
            [
                Series(label, ink, sweep.values, sweep.metrics[name], _intervals(sweep, name), banded=False)
                for (name, label), ink in zip(known.items(), inks, strict=False)
            ],
            _shares(),
        )


def _trade(sweep: Sweep, family: Family, alt: str, here: Here | None, dashed: bool) -> Chart:
    """Distortion over rate, a point for each value."""
    rate, distortion = marked(family)
    xs = sweep.means(rate)
    line = Series("", family.name, xs, [[it] for it in sweep.means(distortion)])
    ring = (here[rate], here[distortion]) if here else None
    x = chart.scale([*xs, *([ring[0]] if ring else ())], chart.LEFT, chart.WIDTH - chart.RIGHT)
    y = chart.spread_axis([line], HIGH, also=[ring[1]] if ring else ())
    curve = chart.drawn(line, x, y)
    return Chart(
        "Distortion over rate [nats per image]",
        alt,
        HIGH,
        chart.tick_labels(x, 6),
        chart.tick_labels(y, 5),
        (curve,),
        labels=chart.point_labels(curve.points, [tick(value, 3) for value in sweep.values]),
        cells=chart.cells([at for at, _ in curve.points]),
        ring=(x(ring[0]), y(ring[1])) if ring else None,
        dashed=dashed,
    )  # fmt: skip


def _over(
    sweep: Sweep,
    title: str,
    series: Sequence[Series],
    y: chart.Scale,
    height: int = LOW,
    alt: str = "",
    ring: tuple[float, float] | None = None,
    dashed: bool = False,
    level: float | None = None,
) -> Chart:
    """Lines over the values of the parameter."""
    x = chart.along(sweep.values)
    ends = [(number(sweep.values[at]), at) for at in dict.fromkeys((0, len(sweep.values) - 1))]
    said = (f"{it.label} {listed(f'{number(mean(it.groups[at]), 3)} at {end}' for end, at in ends)}" for it in series)
    return Chart(
        f"{title} over {sweep.symbol}",
        alt or f"{title} over {sweep.symbol}: {'; '.join(said)}",
        height,
        chart.value_labels(sweep.values, x),
        chart.tick_labels(y, 5 if height == HIGH else 3),
        tuple(chart.drawn(it, x, y) for it in series),
        cells=chart.cells([x(value) for value in sweep.values]),
        level=y(level) if level is not None else None,
        ring=(x(ring[0]), y(ring[1])) if ring else None,
        dashed=dashed,
    )


def _shares() -> chart.Scale:
    return chart.y_axis(-0.03, 1.03, LOW)


def _spreads(groups: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """A standard deviation to either side of each mean, where each value has several seeds."""
    if min(map(len, groups)) < 2:
        return []
    least = min(min(group) for group in groups)  # a logarithmic axis has no room below it
    return [(max(mean(group) - stdev(group), least), mean(group) + stdev(group)) for group in groups]


def _intervals(sweep: Sweep, name: str) -> list[tuple[float, float]]:
    """The 95% interval of each mean, where each value has several seeds."""
    if not has_several(sweep):
        return []
    return [(mean(group) - half_interval(group), mean(group) + half_interval(group)) for group in sweep.metrics[name]]


def _bars(sweep: Sweep) -> tuple[Chart, dict[float, str]] | None:
    """The axes of the KL terms, which are the same at each value, and the bars of each value, largest first."""
    if not sweep.kl_per_latent:
        return None
    y = chart.y_axis(0, 1.05 * max(max(them) for them in sweep.kl_per_latent.values()) or 1, LOW)
    axes = Chart(
        "KL term of each latent, largest first [nats per image]",
        f"Bars of the KL term of each latent, largest first, at each value of {sweep.symbol}",
        LOW,
        (),
        chart.tick_labels(y, 3),
        (),
    )
    return axes, {value: chart.bars(sorted(them, reverse=True), y) for value, them in sweep.kl_per_latent.items()}
