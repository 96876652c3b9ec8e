"""Figures of what the latents of a family with an encoder carry."""

from typing import TYPE_CHECKING

from genbalance.families.registry import ENCODER, Family
from genbalance.reporting.classes import CROWDED, MANY
from genbalance.reporting.results import Results
from genbalance.reporting.text import number, share
from genbalance.reporting.theme import Plot, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# after Tol's colour-blind-safe "muted" set; where ten do not do, the first ones again
LIGHT_INKS = (
    *("#332288", "#117733", "#aa4499", "#2e9484", "#cc6677"),
    *("#6f8f00", "#882255", "#3d8ec9", "#9c7500", "#555555"),
)
DARK_INKS = (
    *("#9d8cf0", "#4fc473", "#e08ad2", "#5fd4c0", "#f08d9c"),
    *("#c3d94f", "#d4679c", "#88ccee", "#ddcc77", "#bbbbbb"),
)


MAP_SIZE = (9.4, 5.6)  # inches
FEW = 200  # codes that are drawn as larger dots
ADD_UP = {  # what the KL terms sum up to, by prior
    "normal": "The bars add up to the rate.",
    "mixture": "The bars add up to the rate in training, when the prior was N(0, I).",
}


def kl_per_latent(results: Results, family: Family, prior: str) -> Plot:
    """The rate, latent by latent, largest first; ``prior`` as in params.yaml."""
    values = sorted(results.tables[f"train_{family.name}/kl_per_latent"]["kl"], reverse=True)
    active = results.number(f"train_{family.name}", "active_units")

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        inks = [theme.of(family) if rank < active else theme.muted for rank in range(len(values))]
        panel.bar(range(1, len(values) + 1), values, 0.8, color=inks)
        panel.set(xlabel="latent, by rank", ylabel="KL [nats per image]")
        panel.grid(axis="x", visible=False)

    return Plot(
        _name(results, family, "kl_per_latent"),
        f"{family.title}: KL term of each latent",
        f"Bar chart of the KL term of each of {len(values)} latents, largest first: from {number(values[0])} down to "
        f"{number(values[-1])} nats per image. {number(active)} units are active.",
        ("Grey latents are inactive: their posterior does not move with the image. " if active < len(values) else "")
        + ADD_UP.get(prior, "With the learned prior, each bar is an upper bound on the information in its latent."),
        draw,
    )


def code_map(results: Results, family: Family, conditional: bool) -> Plot:
    """The codes of test images on the plane where their classes lie furthest apart, each as its class; without classes,
    on the plane in which they vary most."""
    return _map_of_classes(results, family, conditional) if results.has_classes else _map_of_codes(results, family)


def _map_of_codes(results: Results, family: Family) -> Plot:
    table = results.tables[f"evaluate_{family.name}/codes"]

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        panel.scatter(table["x"], table["y"], 40, theme.of(family), marker=".", lw=0, alpha=0.75)
        panel.set(xlabel="first principal component", ylabel="second principal component")

    return Plot(
        _name(results, family, "code_map"),
        f"{family.title}: latent space",
        f"Map of the codes of {number(len(table['x']))} test images on two principal components.",
        "Each dot is the code E[z|x] of a test image, on the two directions in which the codes of training images vary "
        "most.",
        draw,
        MAP_SIZE,
    )


def _map_of_classes(results: Results, family: Family, conditional: bool) -> Plot:
    stage = f"evaluate_{family.name}"
    table = results.tables[f"{stage}/codes"]
    labels = [int(label) for label in table["class"]]
    as_number = results.classes <= CROWDED and all(results.class_name(label) == str(label) for label in set(labels))
    named = len(set(labels)) <= MANY

    def draw(figure: "Figure", theme: Theme) -> None:
        from matplotlib.patheffects import withStroke

        panel = figure.subplots()
        inks = LIGHT_INKS if theme.name == "light" else DARK_INKS
        size = 36 if as_number else 80 if len(labels) <= FEW else 12
        for label in sorted(set(labels)):
            chosen = [place for place, of in enumerate(labels) if of == label]
            x, y = ([table[axis][place] for place in chosen] for axis in ("x", "y"))
            marker = f"${label}$" if as_number else "."
            panel.scatter(x, y, size, inks[label % len(inks)], marker=marker, lw=0, alpha=0.75)
            if named:
                panel.text(sum(x) / len(x), sum(y) / len(y), results.class_name(label), ha="center", va="center",
                           fontsize=17 if as_number else 10, weight="bold", color=inks[label % len(inks)],
                           parse_math=False, path_effects=[withStroke(linewidth=4, foreground=theme.card)])  # fmt: skip
        panel.set(xlabel="first discriminant [standard deviations within a class]", ylabel="second discriminant")

    return Plot(
        _name(results, family, "code_map"),
        f"{family.title}: classes in latent space",
        f"Map of the codes of {number(len(labels))} test images of {number(len(set(labels)))} classes on two linear "
        f"discriminants; a logistic regression on all latents has an accuracy of "
        f"{share(results.number(stage, 'probe_accuracy'))} on the test images.",
        caption_of_classes(results, conditional, named, as_number),
        draw,
        MAP_SIZE,
    )


def caption_of_classes(results: Results, conditional: bool, named: bool, as_number: bool = False) -> str:
    """What a map of codes of several classes shows, on which the middle of each class may be ``named``, and each code
    may be drawn ``as_number``."""
    text = "large" if as_number else "numbers" if results.class_name(0) == "0" else "names"
    middle = f"{text}: the middle of each class" if named else "a colour stands for several classes"
    return (
        f"Each {'digit' if as_number else 'dot'} is the code {'E[z|x, y]' if conditional else 'E[z|x]'} of a test image"
        f"{', drawn as its class' if as_number else ''}; {middle}. The "
        "plane was chosen on training images, for their classes to lie apart on it; it shows two directions of all."
        f"{' A decoder conditioned on the class needs none of it in its codes.' if conditional else ''}"
    )


def _name(results: Results, family: Family, name: str) -> str:
    """``name``, behind the family's where several families have such a figure."""
    return name if len(results.having(ENCODER)) == 1 else f"{family.name}_{name}"
