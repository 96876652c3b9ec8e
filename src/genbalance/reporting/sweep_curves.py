"""What a coefficient does: the curves of a sweep."""

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import TYPE_CHECKING

from genbalance.reporting.style import Plot, Theme, legend, log_axis
from genbalance.reporting.sweep import Sweep
from genbalance.reporting.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RING = " The ring is this run."
DASHED = " The dashed ring is this run, whose settings differ (see below)."
MARKED = {"vae": ("evaluate_vae.rate", "evaluate_vae.distortion"), "gan": ("evaluate_gan.fd_test",)}  # places the ring
Here = Mapping[str, float]
"""A run that is marked on the curves: the value of the parameter that varies and its metrics, by their names."""


def figure(sweep: Sweep, here: Here | None = None) -> Plot:
    """The curves of a sweep, with a ring where the run ``here`` stands."""
    return rate_distortion(sweep, here) if sweep.model == "vae" else balance(sweep, here)


def glance(sweep: Sweep, here: Here | None, alike: bool = True) -> Plot:
    """The curve that matters most: rate against distortion, or the Fréchet distance above D's accuracies.

    A ring marks where the run ``here`` stands, a dashed one where it is not ``alike`` in its settings; far off the
    curve such a one is left out.
    """
    if here and not alike and not all(_is_near(here[name], sweep.means(name)) for name in MARKED[sweep.model]):
        here = None
    titles = {"vae": "Rate and distortion", "gan": "Fréchet distance, and D’s accuracy"}
    captions = {"vae": f"A point for each value of {sweep.symbol}.", "gan": "Lines: means over seeds; dots: runs."}

    def draw(figure: "Figure", theme: Theme) -> None:
        if sweep.model == "vae":
            _curve(figure.subplots(), theme, sweep, here, alike)
            return
        distance, right = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 1))
        _distance(distance, theme, sweep, here, alike)
        _accuracies(right, theme, sweep)
        distance.set(xlabel="", ylabel="Fréchet\ndistance")
        distance.margins(y=0.15)
        right.set_xlabel(sweep.symbol)
        figure.align_ylabels()

    return Plot(
        f"{sweep.name.replace('.', '_')}_glance",
        f"{titles[sweep.model]} over {sweep.symbol}",
        figure(sweep).alt,
        captions[sweep.model] + ((RING if alike else DASHED) if here else ""),
        draw,
        (5.0, 3.1),
    )


def _is_near(value: float, curve: Sequence[float]) -> bool:
    return min(curve) / 3 <= value <= 3 * max(curve)


def rate_distortion(sweep: Sweep, here: Here | None = None) -> Plot:
    """Rate against distortion, and along the sweep the active units and both Fréchet distances."""
    rate, distortion = (sweep.means(f"evaluate_vae.{name}") for name in ("rate", "distortion"))

    def draw(figure: "Figure", theme: Theme) -> None:
        curve, units, distances = _panels(figure)
        _curve(curve, theme, sweep, here)
        _spread(units, sweep, "evaluate_vae.active_units", theme.vae, "active units")
        units.set_ylabel("active units")
        units.set_ylim(bottom=0)
        _spread(distances, sweep, "evaluate_vae.fd_test", theme.vae, "samples")
        _spread(distances, sweep, "evaluate_vae.fd_reconstructions", theme.extra, "reconstructions", "--", "s")
        log_axis(distances, [v for m in ("fd_test", "fd_reconstructions") for v in sweep.means(f"evaluate_vae.{m}")])
        _along(sweep, distances, "Fréchet distance")

    ends = f"{sweep.values[0]:g} to {sweep.values[-1]:g}"
    return Plot(
        _name(sweep),
        f"What {sweep.symbol} does",
        f"As {sweep.symbol} goes from {ends} the rate goes from {number(rate[0])} to {number(rate[-1])} and the "
        f"distortion from {number(distortion[0])} to {number(distortion[-1])} nats per image.",
        "A point for each value." + (RING if here else ""),
        draw,
        (9.4, 4.4),
    )


def balance(sweep: Sweep, here: Here | None = None) -> Plot:
    """The Fréchet distance, D's accuracies, precision and recall along the sweep."""
    fd = sweep.means("evaluate_gan.fd_test")
    best = sweep.values[fd.index(min(fd))]

    def draw(figure: "Figure", theme: Theme) -> None:
        distance, right, shares = _panels(figure)
        _distance(distance, theme, sweep, here)
        _accuracies(right, theme, sweep)
        _spread(shares, sweep, "evaluate_gan.precision", theme.gan, "precision")
        _spread(shares, sweep, "evaluate_gan.recall", theme.extra, "recall", "--", "s")
        shares.set_ylim(-0.03, 1.03)
        _along(sweep, shares, "share")

    return Plot(
        _name(sweep),
        f"What {sweep.symbol} does",
        f"Over {sweep.symbol} from {sweep.values[0]:g} to {sweep.values[-1]:g} the Fréchet distance is least at "
        f"{best:g}, {number(min(fd))}, and largest {number(max(fd))}.",
        "Lines: means over seeds; dots: runs; bands: a standard deviation to either side." + (RING if here else ""),
        draw,
        (9.4, 4.4),
    )


def _curve(panel: "Axes", theme: Theme, sweep: Sweep, here: Here | None, alike: bool = True) -> None:
    rate, distortion = (sweep.means(f"evaluate_vae.{name}") for name in ("rate", "distortion"))
    panel.plot(rate, distortion, color=theme.vae, marker="o", ms=4.5)
    for value, x, y in zip(sweep.values, rate, distortion, strict=True):
        panel.annotate(f"{value:g}", (x, y), (5, 4), textcoords="offset points", color=theme.muted, fontsize=9.5)
    panel.set(xlabel="rate [nats per image]", ylabel="distortion [nats per image]", title=f"labels: {sweep.symbol}")
    panel.title.set(fontsize=10, color=theme.muted)
    panel.margins(0.12, 0.08)
    if here:
        _ring(panel, here["evaluate_vae.rate"], here["evaluate_vae.distortion"], theme, alike)


def _distance(panel: "Axes", theme: Theme, sweep: Sweep, here: Here | None, alike: bool = True) -> None:
    _spread(panel, sweep, "evaluate_gan.fd_test", theme.gan, "Fréchet distance")
    log_axis(panel, [value for values in sweep.metrics["evaluate_gan.fd_test"] for value in values])
    _along(sweep, panel, "Fréchet distance")
    if here:
        _ring(panel, here[sweep.key], here["evaluate_gan.fd_test"], theme, alike)


def _accuracies(panel: "Axes", theme: Theme, sweep: Sweep) -> None:
    panel.axhline(0.5, color=theme.muted, lw=1.2, ls=(0, (2, 2)))
    _spread(panel, sweep, "evaluate_gan.d_accuracy_test", theme.real, "real, held out", "--", "s")
    _spread(panel, sweep, "evaluate_gan.d_accuracy_generated", theme.gan, "generated")
    panel.set(ylabel="D’s accuracy", ylim=(-0.03, 1.03))


def _name(sweep: Sweep) -> str:
    return f"{sweep.name.replace('.', '_')}_sweep"


def _ring(panel: "Axes", x: float, y: float, theme: Theme, alike: bool) -> None:
    if alike:
        panel.plot([x], [y], "o", ms=13, mfc="none", mec=theme.ink, mew=1.4)
    else:
        panel.scatter([x], [y], s=150, facecolors="none", edgecolors=theme.ink, lw=1.4, ls=(0, (2, 1.2)))


def _panels(figure: "Figure") -> tuple["Axes", "Axes", "Axes"]:
    """A large one beside two small ones on one axis."""
    grid = figure.add_gridspec(2, 2)
    lower = figure.add_subplot(grid[1, 1])
    upper = figure.add_subplot(grid[0, 1], sharex=lower)
    upper.tick_params(labelbottom=False)
    return figure.add_subplot(grid[:, 0]), upper, lower


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
