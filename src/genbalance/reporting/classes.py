"""Figures over classes."""

from collections import Counter
from typing import TYPE_CHECKING

from genbalance.families.registry import Family
from genbalance.reporting.results import Results, Table
from genbalance.reporting.text import number, share
from genbalance.reporting.theme import Plot, Theme, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CROWDED = 12  # more classes than this have no room for a number each, nor for counts in the confusion matrix
MANY = 30  # of more classes than this, figures and tables show some
ENDS = 10  # those with the least and the largest values, so many of either
LONGEST = 16  # characters of a class's name on an axis
SIZE = (4.7, 4.1)


def class_histogram(results: Results) -> Plot:
    """The classes of the samples, as the reference classifier predicts them, next to the real shares."""
    tables = _tables(results)
    rows, chosen = extremes(_ratios(tables))
    labels, real = (tables[0][1][column] for column in ("class", "real"))

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        for (family, table), (shift, width) in zip(tables, _bars(len(tables)), strict=True):
            middle = [place + shift for place in range(len(rows))]
            shares = [table["generated"][row] for row in rows]
            panel.bar(middle, shares, width, color=theme.of(family), label=family.title)
            low, high = ([table[f"generated_{end}"][row] for row in rows] for end in ("low", "high"))
            panel.vlines(middle, low, high, color=theme.ink, lw=0.8)
        low, high = ([place + sign * 0.45 for place in range(len(rows))] for sign in (-1, 1))
        panel.hlines([real[row] for row in rows], low, high, color=theme.ink, lw=1.8, label="real test images")
        panel.set(xlabel="predicted class", ylabel="share of the images")
        name_ticks(panel, results, [labels[row] for row in rows])
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
        "A class far below its line is generated rarely; at zero it is a dropped mode. Thin lines: 95% intervals."
        + (f" {chosen} share relative to real images." if chosen else ""),
        draw,
        SIZE,
    )


def class_distances(results: Results) -> Plot:
    """How far each class's samples are from its test images, next to what training images get."""
    tables = _tables(results)
    worst = [(family, *max(zip(table["fd"], table["class"], strict=True))) for family, table in tables]
    rows, chosen = extremes([max(table["fd"][row] for _, table in tables) for row in range(len(tables[0][1]["fd"]))])

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        for (family, table), (shift, width) in zip(tables, _bars(len(tables)), strict=True):
            middle = [place + shift for place in range(len(rows))]
            panel.bar(middle, [table["fd"][row] for row in rows], width, color=theme.of(family), label=family.title)
            low, high = ([table[f"fd_{end}"][row] for row in rows] for end in ("low", "high"))
            panel.vlines(middle, low, high, color=theme.ink, lw=0.8)
            low, high = ([x + sign * width / 2 for x in middle] for sign in (-1, 1))
            last = family is tables[-1][0]
            floors = [table["fd_floor"][row] for row in rows]
            panel.hlines(floors, low, high, color=theme.ink, lw=1.8, label="floor: real images" if last else "")
        panel.set(xlabel="predicted class", ylabel="Fréchet distance within the class")
        name_ticks(panel, results, [tables[0][1]["class"][row] for row in rows])
        panel.grid(axis="x", visible=False)
        legend(panel, 4 if len(tables) < 3 else 2)  # more names do not fit into a row

    return Plot(
        "class_distances",
        "Fréchet distance by class",
        "Bar chart of the Fréchet distance of each class's samples to its test images. "
        + "".join(
            f"{family.title}: at most {number(fd)}, for class {results.class_name(label)}; "
            for family, fd, label in worst
        )
        + f"real images: at most {number(max(fd for _, table in tables for fd in table['fd_floor']))}.",
        "Thick lines: what real training images get; thin lines: 95% intervals. Few images of a class raise its bar "
        "and its thick line alike." + (f" {chosen} distance." if chosen else ""),
        draw,
        SIZE,
    )


def extremes(values: list[float]) -> tuple[list[int], str]:
    """The rows that a figure or table of classes shows, and how they were chosen: all of them and "", or of more than
    MANY those of the ENDS least and the ENDS largest values, in rising order."""
    if len(values) <= MANY:
        return list(range(len(values))), ""
    order = sorted(range(len(values)), key=lambda row: values[row])
    count = number(len(values))
    return order[:ENDS] + order[
        -ENDS:
    ], f"Of {count} classes, the {ENDS} with the least and the {ENDS} with the largest"


def _ratios(tables: list[tuple[Family, Table]]) -> list[float]:
    """Of each class its share of the samples over that of the real images, the least of any family."""
    real = tables[0][1]["real"]
    return [
        min(table["generated"][row] / real[row] for _, table in tables) if real[row] > 0 else 0.0
        for row in range(len(real))
    ]


def _tables(results: Results) -> list[tuple[Family, Table]]:
    return [(family, results.tables[f"evaluate_{family.name}/classes"]) for family in results.families]


def _bars(count: int) -> list[tuple[float, float]]:
    """The place beside a class's number and the width of each of its bars."""
    step = 0.8 / count
    return [((place - (count - 1) / 2) * step, 0.95 * step) for place in range(count)]


def confusion(results: Results) -> Plot:
    """Rows: what the image is. Columns: what the reference classifier predicts. Of many classes, those with the most
    errors; of images without classes, the turns that it was trained on."""
    table = results.tables["train_classifier/confusion"]
    pairs = list(zip(table["actual"], table["predicted"], strict=True))
    cells = Counter(pairs)
    errors = Counter(actual for actual, predicted in pairs if actual != predicted)
    labels: list[float] = list(range(results.classes)) if results.has_classes else sorted(set(table["actual"]))
    whole = len(labels)
    if whole > MANY:
        labels = sorted(sorted(labels, key=lambda label: -errors[label])[: 2 * ENDS])
    count = len(labels)
    counts = [[cells[actual, predicted] for predicted in labels] for actual in labels]
    totals = Counter(table["actual"])

    def draw(figure: "Figure", theme: Theme) -> None:
        from matplotlib.colors import LinearSegmentedColormap, PowerNorm

        panel = figure.subplots()
        shares = [[n / max(1, totals[label]) for n in row] for label, row in zip(labels, counts, strict=True)]
        # The square root lifts the few errors out of the background, next to a diagonal near one.
        image = panel.imshow(shares, LinearSegmentedColormap.from_list("ramp", theme.ramp), PowerNorm(0.5, 0, 1))
        for row, column in ((r, c) for r in range(count) for c in range(count) if count <= CROWDED):
            if counts[row][column]:
                panel.text(column, row, str(counts[row][column]), ha="center", va="center", fontsize=8,
                           color=theme.card if shares[row][column] > 0.3 else theme.ink)  # fmt: skip
        kind = "class" if results.has_classes else "rotation [degrees]"
        panel.set(xlabel=f"predicted {kind}", ylabel=f"actual {kind}")
        name_ticks(panel, results, labels)
        name_ticks(panel, results, labels, axis="y")
        panel.grid(visible=False)
        panel.tick_params(length=0)
        bar = figure.colorbar(
            image, ax=panel, shrink=0.85, label=f"share of the actual {kind.split()[0]}", ticks=[0, 0.01, 0.1, 0.5, 1]
        )
        bar.ax.set_yticklabels(["0", "0.01", "0.1", "0.5", "1"])
        bar.outline.set_visible(False)

    what = f"images of {whole} classes" if results.has_classes else f"images in {whole} rotations"
    return Plot(
        "confusion",
        "Reference classifier: confusion matrix",
        f"Confusion matrix of the classifier on {number(len(pairs))} test {what}: "
        f"{number(sum(errors.values()))} of them are misclassified.",
        "Every metric of the samples uses this classifier, so its errors limit what can be measured."
        + (f" Of {number(whole)} classes, the {count} with the most errors." if count < whole else ""),
        draw,
        SIZE,
    )


def name_ticks(panel: "Axes", results: Results, labels: list[float], axis: str = "x") -> None:
    """Names the classes that stand at 0, 1, … of an axis: each by its name or number, of more than CROWDED numbers in
    order every fifth."""
    of_axis = panel.xaxis if axis == "x" else panel.yaxis
    texts = [results.class_name(label) if results.has_classes else f"{label:g}" for label in labels]
    longest = max(map(len, texts))
    if longest <= 3 and labels == list(range(len(labels))):
        of_axis.set_ticks(ticks(len(labels)))
        return
    shown = [text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…" for text in texts]
    crowded = axis == "x" and (longest > 3 or len(labels) > CROWDED)
    small = 8.5 if len(labels) > CROWDED else None
    of_axis.set_ticks(range(len(labels)), shown, rotation=90 if crowded else 0, fontsize=small, parse_math=False)


def ticks(count: int) -> range:
    """The classes that an axis names: all, or every fifth."""
    return range(0, count, 1 if count <= CROWDED else 5)
