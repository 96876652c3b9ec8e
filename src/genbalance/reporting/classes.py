"""Figures over classes."""

from collections import Counter
from typing import TYPE_CHECKING

from genbalance.families.registry import Family
from genbalance.reporting.results import Results, Table
from genbalance.reporting.text import number, share
from genbalance.reporting.theme import Plot, Theme, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROWDED = 12  # more classes than this have no room for a name each, nor for counts in the confusion matrix
SIZE = (4.7, 4.1)


def class_histogram(results: Results) -> Plot:
    """The classes of the samples, as the reference classifier predicts them, next to the real shares."""
    tables = _tables(results)
    labels, real = tables[0][1]["class"], tables[0][1]["real"]

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        for (family, table), (shift, width) in zip(tables, _bars(len(tables)), strict=True):
            middle = [label + shift for label in labels]
            panel.bar(middle, table["generated"], width, color=theme.of(family), label=family.title)
        panel.hlines(real, [c - 0.45 for c in labels], [c + 0.45 for c in labels], color=theme.ink, lw=1.8,
                     label="real test images")  # fmt: skip
        panel.set(xlabel="predicted class", ylabel="share of the images", xticks=ticks(len(labels)))
        panel.grid(axis="x", visible=False)
        legend(panel, 4 if len(tables) < 3 else 2)  # more names do not fit into a row

    return Plot(
        "class_histogram",
        "Classes of the samples",
        "Bar chart of the share of each class. "
        + "".join(
            f"{family.title}: from {share(min(table['generated']))} to {share(max(table['generated']))}; "
            for family, table in tables
        )
        + f"real images: from {share(min(real))} to {share(max(real))}.",
        "A class far below its line is generated rarely; at zero it is a dropped mode.",
        draw,
        SIZE,
    )


def class_distances(results: Results) -> Plot:
    """How far each class's samples are from its test images, next to what training images get."""
    tables = _tables(results)
    worst = [(family, *max(zip(table["fd"], table["class"], strict=True))) for family, table in tables]

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        for (family, table), (shift, width) in zip(tables, _bars(len(tables)), strict=True):
            middle = [label + shift for label in table["class"]]
            panel.bar(middle, table["fd"], width, color=theme.of(family), label=family.title)
            low, high = ([x + sign * width / 2 for x in middle] for sign in (-1, 1))
            last = family is tables[-1][0]
            panel.hlines(
                table["fd_floor"], low, high, color=theme.ink, lw=1.8, label="floor: real images" if last else ""
            )
        panel.set(xlabel="predicted class", ylabel="Fréchet distance within the class",
                  xticks=ticks(len(tables[0][1]["class"])))  # fmt: skip
        panel.grid(axis="x", visible=False)
        legend(panel, 4 if len(tables) < 3 else 2)  # more names do not fit into a row

    return Plot(
        "class_distances",
        "Fréchet distance by class",
        "Bar chart of the Fréchet distance of each class's samples to its test images. "
        + "".join(f"{family.title}: at most {number(fd)}, for class {number(label)}; " for family, fd, label in worst)
        + f"real images: at most {number(max(fd for _, table in tables for fd in table['fd_floor']))}.",
        "Lines: what real training images get. Few images of a class raise its bar and its line alike.",
        draw,
        SIZE,
    )


def _tables(results: Results) -> list[tuple[Family, Table]]:
    return [(family, results.tables[f"evaluate_{family.name}/classes"]) for family in results.families]


def _bars(count: int) -> list[tuple[float, float]]:
    """The place beside a class's number and the width of each of its bars."""
    step = 0.8 / count
    return [((place - (count - 1) / 2) * step, 0.95 * step) for place in range(count)]


def confusion(results: Results) -> Plot:
    """Rows: what the image is. Columns: what the reference classifier predicts."""
    table, count = results.tables["train_classifier/confusion"], results.classes
    pairs = list(zip(table["actual"], table["predicted"], strict=True))
    cells = Counter(pairs)
    counts = [[cells[actual, predicted] for predicted in range(count)] for actual in range(count)]
    wrong = sum(actual != predicted for actual, predicted in pairs)

    def draw(figure: "Figure", theme: Theme) -> None:
        from matplotlib.colors import LinearSegmentedColormap, PowerNorm

        panel = figure.subplots()
        shares = [[n / max(1, sum(row)) for n in row] for row in counts]
        # The square root lifts the few errors out of the background, next to a diagonal near one.
        image = panel.imshow(shares, LinearSegmentedColormap.from_list("ramp", theme.ramp), PowerNorm(0.5, 0, 1))
        for row, column in ((r, c) for r in range(count) for c in range(count) if count <= CROWDED):
            if counts[row][column]:
                panel.text(column, row, str(counts[row][column]), ha="center", va="center", fontsize=8,
                           color=theme.card if shares[row][column] > 0.3 else theme.ink)  # fmt: skip
        panel.set(xlabel="predicted class", ylabel="actual class", xticks=ticks(count), yticks=ticks(count))
        panel.grid(visible=False)
        panel.tick_params(length=0)
        bar = figure.colorbar(
            image, ax=panel, shrink=0.85, label="share of the actual class", ticks=[0, 0.01, 0.1, 0.5, 1]
        )
        bar.ax.set_yticklabels(["0", "0.01", "0.1", "0.5", "1"])
        bar.outline.set_visible(False)

    return Plot(
        "confusion",
        "Reference classifier: confusion matrix",
        f"Confusion matrix of the classifier on {number(len(pairs))} test images of {count} classes: "
        f"{number(wrong)} of them are misclassified.",
        "Every metric of the samples uses this classifier, so its errors limit what can be measured.",
        draw,
        SIZE,
    )


def ticks(count: int) -> range:
    """The classes that an axis names: all, or every fifth."""
    return range(0, count, 1 if count <= CROWDED else 5)
