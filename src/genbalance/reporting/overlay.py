"""Training curves of several groups of runs over one another."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from genbalance.reporting.style import Plot, Theme, axes, line
from genbalance.reporting.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

TITLES = {"train_gan": "GAN", "train_vae": "VAE", "train_classifier": "Reference classifier"}
PANELS = {
    "train_gan": {
        "loss_g": "$L_G$ [nats]",
        "loss_d": "$L_D$ [nats]",
        "d_accuracy_generated": "D’s accuracy,\ngenerated",
    },
    "train_vae": {"val_distortion": "distortion\n[nats per image]", "val_rate": "rate\n[nats per image]"},
    "train_classifier": {"val_loss": "cross-entropy\n[nats]", "val_accuracy": "validation\naccuracy"},
}
STYLES = ("-", "--", ":", "-.")  # a round of hues each
LONGEST = 30  # characters of a group's name in the legend


def overlay(training: str, groups: Mapping[str, Sequence["DataFrame"]]) -> Plot:
    """A line a run, a colour a group.

    Args:
        training: one of :data:`PANELS`.
        groups: by name, the first the one that is compared with: the curves of each of its runs, with the columns
            ``epoch`` and those of the panels; what not all of them have is not drawn.
    """
    every = [table for tables in groups.values() for table in tables]
    panels = {key: label for key, label in PANELS[training].items() if all(key in table for table in every)}
    last = {
        key: "; ".join(f"{n} {number(mean(t[key].iloc[-1] for t in tables))}" for n, tables in groups.items() if tables)
        for key in panels
    }

    def draw(figure: "Figure", theme: Theme) -> None:
        inks = (theme.ink, theme.gan, theme.vae, theme.real, theme.extra)
        drawn = axes(figure, *panels.values())
        for place, (name, tables) in enumerate(groups.items()):
            style: dict[str, Any] = {
                "color": inks[place % len(inks)],
                "ls": STYLES[place // len(inks) % len(STYLES)],
                "lw": 1.4,
            }
            for panel, key in zip(drawn, panels, strict=True):
                for table in tables:
                    line(panel, list(table["epoch"]), list(table[key]), **style, alpha=0.8)
            drawn[0].plot([], [], label=_label(name), **style)
        figure.legend(loc="outside upper left", ncols=2)

    return Plot(
        f"{training}_curves",
        TITLES[training],
        "Line charts over epochs, a line a run. "
        + " ".join(f"{key} ends at, on average: {told}." for key, told in last.items()),
        "A line a run, a colour a group.",
        draw,
        (5.4, 1.0 + 1.6 * len(panels) + 0.15 * len(groups)),
    )


def _label(name: str) -> str:
    """A name as matplotlib prints it: its dollars begin no formula."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return short.replace("$", r"\$")
